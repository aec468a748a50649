"""The peer `cells`: the same cells in a step as one writes it for MindSpore: value_and_grad, clipping and
nn.Adam in one compiled graph."""

from __future__ import annotations

from collections.abc import Sequence

import mindspore as ms
from mindspore import Tensor, nn, ops

from common.backend import Batch
from common.bench.cases import Case
from common.bench.plain import fitting
from common.tasks import TASKS
from mindspore_impl import device as devices
from mindspore_impl.network import build_model, task
from mindspore_impl.rewrite import parameters


class Plain:
    """Implements `common.bench.subjects.Subject`."""

    note = ""

    def __init__(self, case: Case, device: str | None):
        fitting(case, "adamw")
        settings = case.config.optimization
        self.device = devices.select(device)
        self.model = model = build_model(case.spec, self.device)
        self._names, self._targets = model.fields, TASKS.get(case.spec.task).step_targets
        found, names, loss = parameters(model), self._names, task(case.spec.task).loss
        weights = ms.ParameterTuple([found[name] for name in case.plan.shapes()])
        # without decay Adam is AdamW; nn.AdamWeightDecay corrects no bias
        optimizer = nn.Adam(weights, settings.learning_rate, settings.beta1, settings.beta2, settings.epsilon)
        bound = settings.max_grad_norm

        def mean(count, *arrays):
            inputs = {}
            for index in range(len(names)):  # graphs know neither zip nor dict()
                inputs[names[index]] = arrays[index]
            return loss(model, inputs)[0] / count

        differentiate = ms.value_and_grad(mean, None, weights)

        def step(count, *arrays):
            value, gradients = differentiate(count, *arrays)
            if bound is not None:
                gradients = ops.clip_by_global_norm(gradients, bound)
            return ops.depend(value, optimizer(gradients))

        self._step, self._loss = ms.jit(step), ms.jit(mean)

    def step(self, batch: Batch) -> Tensor:
        self.model.set_train(True)
        return self._step(*self._inputs(batch))

    def losses(self, handles: Sequence[Tensor]) -> list[float]:
        return [float(handle.asnumpy()) for handle in handles]

    def check_loss(self, batch: Batch) -> float:
        self.model.set_train(False)
        return float(self._loss(*self._inputs(batch)).asnumpy())

    def _inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        count = Tensor(float(self._targets([batch])), ms.float32)
        return (count, *(Tensor(batch[name]) for name in self._names))


def build(name: str, case: Case, device: str | None) -> Plain:
    """The peer. Raises InputError where it cannot do the case."""
    return Plain(case, device)
