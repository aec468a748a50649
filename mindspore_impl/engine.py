"""Mirrors pytorch_impl.engine; differs: forward and backward are one compiled graph per batch shape (`ms.jit`), or
PyNative by a switch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.backend import Batch, EngineSettings, EvalResult, StepHandle
from common.backend.adversarial import initial_perturbation
from common.backend.statistics import mean_squares
from common.compilation import Compilations
from common.distributed import ALONE, Group, share
from common.methods import METHODS
from common.methods.plan import Plan
from common.methods.steering import split_state, with_state
from common.strict import check_arrays
from common.tasks import TASKS
from mindspore_impl.adversarial import adversarial, apart, grown
from mindspore_impl.decoding import Decoder
from mindspore_impl.distillation import beside, distilled
from mindspore_impl.layers.dropout import share_key
from mindspore_impl.layers.modules import assign
from mindspore_impl.network import task
from mindspore_impl.optimizer import Optimizer
from mindspore_impl.preparation import prepare
from mindspore_impl.rewrite import adapters, parameters, read_parameters, write_parameters
from mindspore_impl.translating import Translator

__all__ = ["Engine"]

_BESIDE = "beside."  #: of the names of what is trained beside the model, in the engine's state


class Engine:
    """Implements `common.backend.Engine` for a model that was built and rewritten for ``plan``.

    Graphs are compiled once per batch shape, for training and evaluation apart; that is the default since it is the
    faster choice on the CPU.
    """

    def __init__(self, model: nn.Cell, plan: Plan, settings: EngineSettings, group: Group = ALONE):
        self.model, self.plan, self.settings, self.group = model, plan, settings, group
        self.device = model.device
        prepare(model, settings, self.device)
        self._task = TASKS.get(model.task)
        found = parameters(model)
        self._parameters = {name: found[name] for name in plan.shapes()}
        self._beside = beside(settings, self.device)
        self._trained = {**self._parameters, **self._beside}
        rates = plan.rates(settings.head_factor) | dict.fromkeys(self._beside, 1.0)
        self._optimizer = Optimizer(self._trained, plan.decayed | self._beside.keys(), rates, settings)
        self._names = model.fields
        weights = ms.ParameterTuple(self._trained.values())
        self._differentiate, self._evaluate, self._logits = _functions(
            _loss_of(model, settings, self._beside), model, weights, self._names
        )
        self._perturb = None
        if settings.adversarial is not None:
            self._perturb = _direction(model, self._names, self._task.smoothed)
        self._steering = METHODS.get(plan.method).steering(plan)
        self.compilations = Compilations()
        step = self._optimizer.step
        self._update = step if settings.compile is False else self.compilations.watch(step)
        self._functions: dict[tuple, Callable] = {}  # by purpose and active adapters, which graphs hold as constants
        self._dropout = share_key(model, self.device)
        self._steps = 0
        self._kept: dict[Any, Any] = {}  # what decoders share

    def train_step(self, micro_batches: Sequence[Batch], learning_rate: float) -> StepHandle:
        """One optimizer step; see the protocol."""
        count = self._task.step_targets(micro_batches)
        self.model.set_train(True)
        total, gradients = self._accumulate(share(micro_batches, self.group), count)
        if self.group.size > 1:
            if gradients is None:  # the last step of an epoch may have fewer micro-batches than there are processes
                total, gradients = (
                    ops.zeros((), ms.float32),
                    tuple(ops.zeros(p.shape, ms.float32) for p in self._trained.values()),
                )
            total, *gradients = self.group.sum([total, *gradients])
        gradients, steered = self._steered(gradients)
        norm = self._update(gradients, learning_rate)
        self._steps += 1
        self._steer(steered)
        return StepHandle(total, norm, count)

    def _steered(self, gradients: Sequence[Tensor]) -> tuple[Sequence[Tensor], dict[str, np.ndarray]]:
        """The gradients with those of the method's own terms; and those of the parameters that it reads."""
        if self._steering is None:
            return gradients, {}
        given, found = dict(zip(self._trained, gradients, strict=True)), {}
        added = self._steering.gradients(self._read(self._steering.names))
        for name in self._steering.names:
            if name in added:
                given[name] = given[name] + Tensor(added[name].astype(np.float32))
            found[name] = given[name].asnumpy().copy()
        return tuple(given.values()), found

    def _steer(self, gradients: Mapping[str, np.ndarray]) -> None:
        """What the method changes after an update."""
        if self._steering is None:
            return
        arrays = self._read(self._steering.names)
        for name, array in self._steering.after(self._steps, arrays, gradients).items():
            assign(self._parameters[name], array)

    def _read(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return {name: self._parameters[name].asnumpy() for name in names}

    def fetch(self, handles: Sequence[StepHandle]) -> list[tuple[float, float]]:
        """Read the results of all handles."""
        return [(float(handle.loss_sum.asnumpy()), float(handle.grad_norm.asnumpy())) for handle in handles]

    def eval_step(self, batch: Batch) -> EvalResult:
        """Loss over one batch, and the class logits for classification."""
        self.model.set_train(False)
        loss_sum, *outputs = self._function("evaluate", self._evaluate)(*self._inputs(batch))
        found = {name: output.asnumpy() for name, output in zip(self._task.outputs, outputs, strict=True)}
        return EvalResult(float(loss_sum.asnumpy()), self._task.targets(batch), found)

    def logits_at(self, batch: Batch, positions: np.ndarray) -> np.ndarray:
        """Language-model logits ``(batch, vocabulary)`` at one position per row."""
        self.model.set_train(False)
        unread = {name: np.zeros(len(positions), np.float32) for name in self._names if name not in batch}  # by logits
        inputs = self._inputs({**batch, **unread})
        return self._function("logits", self._logits)(Tensor(positions.astype(np.int32)), *inputs).asnumpy()

    def decoder(self, capacity: int) -> Decoder | None:
        """A decoder with a cache of static shape; None where the network has none."""
        read = self.model.cached_states(self._kept)
        if read is None:
            return None
        return Decoder(self.model, read, self.settings, capacity, self.compilations, self._kept)

    def translator(self) -> Translator | None:
        """What writes to sources; None where the network has no such way."""
        read = self.model.target_states()
        return None if read is None else Translator(self.model, read, self.settings)

    def attentions(self, batch: Batch) -> np.ndarray | None:
        """Of every layer and head; see the protocol."""
        self.model.set_train(False)
        found = self.model.attentions({name: Tensor(array) for name, array in batch.items()})
        return None if found is None else np.stack([layer.asnumpy() for layer in found], 1)

    def gradients(self, micro_batches: Sequence[Batch]) -> dict[str, np.ndarray]:
        """Gradient of the mean loss by canonical name, float32, without dropout and without an update."""
        self.model.set_train(False)
        _, gradients = self._accumulate(enumerate(micro_batches), self._task.step_targets(micro_batches))
        found = dict(zip(self._trained, gradients, strict=True))
        return {name: found[name].asnumpy().copy() for name in self._parameters}

    def collect(self, examples: Iterable[Batch]) -> dict[str, np.ndarray]:
        """Mean of squared gradients, one example at a time; see the protocol."""
        return mean_squares(self.gradients([example]) for example in examples)

    def trainable(self) -> dict[str, np.ndarray]:
        """Every trained array by canonical name."""
        return read_parameters(self.model, self.plan.shapes())

    def frozen(self) -> Iterator[tuple[str, np.ndarray]]:
        """One at a time; nothing where the processes divide them."""
        found = {} if self.settings.shard and self.group.size > 1 else parameters(self.model)
        for name, parameter in found.items():
            if name not in self._parameters:
                yield name, parameter.asnumpy().astype(np.float32)

    def load_trainable(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``trainable``."""
        write_parameters(self.model, self.plan.shapes(), arrays)

    def state(self) -> dict[str, np.ndarray]:
        """Optimizer state by canonical name, and what is trained beside the model."""
        found = {f"{_BESIDE}{name}": parameter.asnumpy().copy() for name, parameter in self._beside.items()}
        return with_state(self._optimizer.state(), self._steering) | found

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""
        added = {name: array for name, array in arrays.items() if name.startswith(_BESIDE)}
        check_arrays({f"{_BESIDE}{name}": tuple(p.shape) for name, p in self._beside.items()}, added)
        rest = {name: array for name, array in arrays.items() if name not in added}
        self._optimizer.load_state(split_state(rest, self._steering))
        for name, parameter in self._beside.items():
            assign(parameter, added[f"{_BESIDE}{name}"])
        self._steps = int(arrays["step"])

    def _accumulate(
        self, numbered: Iterable[tuple[int, Batch]], count: int
    ) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        """Sum of the losses, and gradient of their mean over ``count`` labels; None without a micro-batch."""
        scale = Tensor(1.0 / count, ms.float32)
        total, gradients = None, None
        function = self._function("train" if self.model.training else "gradients", self._differentiate)
        for number, batch in numbered:
            self._dropout.set(self.settings.seed, self._steps, number)
            (_, loss_sum), part = function(scale, *self._inputs(batch), *self._perturbation(batch, number))
            total = loss_sum if total is None else total + loss_sum
            gradients = part if gradients is None else tuple(map(ops.add, gradients, part))
        return total, gradients

    def _perturbation(self, batch: Batch, number: int) -> tuple[Tensor, ...]:
        """Of a micro-batch in adversarial training, see `common.backend.adversarial`; nothing otherwise."""
        wanted = self.settings.adversarial
        if wanted is None:
            return ()
        shape = (*batch["input_ids"].shape, self.model.perturbed_width)
        start = Tensor(initial_perturbation(wanted, self.settings.seed, self._steps, number, shape))
        purpose = "perturb" if self.model.training else "perturb without dropout"
        gradient = self._function(purpose, self._perturb)(start, *self._inputs(batch))
        return (grown(start, gradient, wanted),)

    def _function(self, purpose: str, function: Callable) -> Callable:
        if self.settings.compile is False:
            return function
        key = (purpose, tuple(layer.active for layer in adapters(self.model).values()))
        if key not in self._functions:
            self._functions[key] = self.compilations.watch(ms.jit(function))
        return self._functions[key]

    def _inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """One by one: tuples and dicts are constants to a graph, which would be compiled at every step."""
        return tuple(Tensor(batch[name]) for name in self._names)


def _loss_of(
    model: nn.Cell, settings: EngineSettings, added: dict[str, Parameter]
) -> Callable[..., tuple[Tensor, ...]]:
    """The task's, a student's, or that of adversarial training."""
    module, wanted = task(model.task), settings.distillation
    if settings.adversarial is not None:
        return adversarial(module.loss, module.of_logits, settings.adversarial, TASKS.get(model.task).smoothed)
    return module.loss if wanted is None else distilled(model, module.loss, module.of_logits, wanted, added)


def _named(names, arrays):
    """A batch; what follows its fields is the perturbation."""
    inputs = {}
    for index in range(len(names)):  # graphs know neither zip nor dict()
        inputs[names[index]] = arrays[index]
    if len(arrays) > len(names):
        inputs["perturbation"] = arrays[len(names)]
    return inputs


def _direction(model: nn.Cell, names: tuple[str, ...], kind: str) -> Callable[..., Tensor]:
    """The gradient by a perturbation, from it and a batch."""

    def distance(perturbation, *arrays):
        return apart(model, _named(names, arrays), perturbation, kind)

    return ms.grad(distance, 0)


def _functions(
    loss: Callable, model: nn.Cell, weights: ms.ParameterTuple, names: tuple[str, ...]
) -> tuple[Callable, Callable, Callable]:
    """Gradient, evaluation and single-position functions as closures over the model; graphs cannot hold an engine's
    ``self``."""

    def scaled_loss(scale, *arrays):
        loss_sum = loss(model, _named(names, arrays))[0]
        return loss_sum * scale, loss_sum

    def evaluate(*arrays):
        return loss(model, _named(names, arrays), False)

    def logits_at(positions, *arrays):
        return model.logits(_named(names, arrays), positions)

    return ms.value_and_grad(scaled_loss, None, weights, has_aux=True), evaluate, logits_at
