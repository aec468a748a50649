"""The engine: training steps, evaluation and state of one adapted model on one device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from common.backend import Batch, EngineSettings, EvalResult, StepHandle
from common.backend.adversarial import initial_perturbation
from common.backend.statistics import mean_squares
from common.compilation import Compilations
from common.distributed import ALONE, Group, share
from common.dropout import step_key
from common.methods import METHODS
from common.methods.plan import Plan
from common.methods.steering import split_state, with_state
from common.strict import check_arrays
from common.tasks import TASKS
from pytorch_impl.adversarial import adversarial, apart, grown
from pytorch_impl.decoding import Decoder
from pytorch_impl.distillation import beside, distilled
from pytorch_impl.layers.dropout import share_key
from pytorch_impl.network import task
from pytorch_impl.optimizer import Optimizer
from pytorch_impl.preparation import prepare
from pytorch_impl.rewrite import parameters, read_parameters, write_parameters
from pytorch_impl.translating import Translator

__all__ = ["Engine"]

_BESIDE = "beside."  #: of the names of what is trained beside the model, in the engine's state


class Engine:
    """Implements `common.backend.Engine` for a model that was built and rewritten for ``plan``.

    fp32 computes in float32 throughout, fp64 in float64 (for references); bf16 computes the matrix products in bfloat16
    (autocast), keeps frozen weights of these in bfloat16 and everything else, all that is trained above all, in
    float32.
    """

    def __init__(self, model: nn.Module, plan: Plan, settings: EngineSettings, group: Group = ALONE):
        device = group.device if settings.shard and group.size > 1 else str(next(model.parameters()).device)
        prepare(model, settings, device)
        self.model, self.plan, self.settings, self.group = model, plan, settings, group
        self._task = TASKS.get(model.task)
        found = parameters(model)
        self._parameters = {name: found[name] for name in plan.shapes()}
        self._beside = beside(settings, device)
        self._trained = {**self._parameters, **self._beside}
        loss, self._logits = _loss_of(model, settings, self._beside), _logits
        if settings.shard:
            loss, self._logits = group.shard(model, self._parameters.values(), loss, self._logits)
        self.device = str(next(model.parameters()).device)
        rates = plan.rates(settings.head_factor) | dict.fromkeys(self._beside, 1.0)
        self._optimizer = Optimizer(self._trained, plan.decayed | self._beside.keys(), rates, settings)
        self._steering = METHODS.get(plan.method).steering(plan)
        self.compilations = Compilations()
        self._loss_sum = self.compilations.watch(torch.compile(loss)) if settings.compile else loss
        self._dropout = share_key(model, self.device)
        self._steps = 0
        self._kept: dict[Any, Any] = {}  # what decoders share

    def train_step(self, micro_batches: Sequence[Batch], learning_rate: float) -> StepHandle:
        """One optimizer step; see the protocol. Dropout masks are those of `common.dropout`."""
        count = self._task.step_targets(micro_batches)
        # for what a network draws besides dropout; torch.manual_seed would look for devices at every step
        draws = torch.default_generator if self.device == "cpu" else torch
        self.model.train()
        total = torch.zeros(
            (), device=self.device, dtype=torch.float64 if self.settings.dtype == "fp64" else torch.float32
        )
        for number, batch in share(micro_batches, self.group, self._task.ignored if self.settings.shard else None):
            self._dropout.set(self.settings.seed, self._steps, number)
            draws.manual_seed(step_key(self.settings.seed, self._steps, number) % 2**32)
            loss_sum = self._loss(batch, True, self._perturbation(batch, number))[0]
            (loss_sum / count).backward()
            total += loss_sum.detach()
        gradients = [_gradient(parameter) for parameter in self._trained.values()]
        if self.group.size > 1:
            total, *gradients = self.group.sum([total, *gradients])
        gradients, steered = self._steered(gradients)
        norm = self._optimizer.step(gradients, learning_rate)
        self._steps += 1
        self._steer(steered)
        return StepHandle(total, norm, count)

    def _steered(self, gradients: Sequence[torch.Tensor]) -> tuple[Sequence[torch.Tensor], dict[str, np.ndarray]]:
        """The gradients with those of the method's own terms; and copies of those of the parameters that it reads, since
        the optimizer clips in place."""
        if self._steering is None:
            return gradients, {}
        given, found = dict(zip(self._trained, gradients, strict=True)), {}
        added = self._steering.gradients(self._read(self._steering.names))
        for name in self._steering.names:
            gradient = given[name]
            if name in added:
                gradient = gradient + torch.from_numpy(added[name]).to(gradient)
            given[name] = gradient
            found[name] = _at_least_float32(gradient).cpu().numpy().copy()
        return tuple(given.values()), found

    def _steer(self, gradients: Mapping[str, np.ndarray]) -> None:
        """What the method changes after an update."""
        if self._steering is None:
            return
        arrays = self._read(self._steering.names)
        with torch.no_grad():
            for name, array in self._steering.after(self._steps, arrays, gradients).items():
                self._parameters[name].copy_(torch.from_numpy(array))

    def _read(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return {name: _at_least_float32(self._parameters[name].detach()).cpu().numpy() for name in names}

    def fetch(self, handles: Sequence[StepHandle]) -> list[tuple[float, float]]:
        """One transfer for all handles."""
        if not handles:
            return []
        stacked = torch.stack(
            [torch.stack([handle.loss_sum.double(), handle.grad_norm.double()]) for handle in handles]
        )
        return [(loss, norm) for loss, norm in stacked.tolist()]

    @torch.no_grad()
    def eval_step(self, batch: Batch) -> EvalResult:
        """Loss over one batch, and the class logits for classification."""
        self.model.eval()
        loss_sum, *outputs = self._loss(batch, differentiable=False)
        arrays = (output.float().cpu().numpy() for output in outputs)
        found = dict(zip(self._task.outputs, arrays, strict=True))
        return EvalResult(loss_sum.item(), self._task.targets(batch), found)

    @torch.no_grad()
    def logits_at(self, batch: Batch, positions: np.ndarray) -> np.ndarray:
        """Language-model logits ``(batch, vocabulary)`` at one position per row."""
        self.model.eval()
        with self._autocast():
            logits = self._logits(self.model, self._inputs(batch), torch.from_numpy(positions).to(self.device).long())
        return logits.float().cpu().numpy()

    def decoder(self, capacity: int) -> Decoder | None:
        """A decoder with a cache; None where the network has none, or its weights are divided among processes."""
        if self.settings.shard and self.group.size > 1:
            return None
        kept = self._kept if self.settings.dtype == "fp32" else None
        read = self.model.cached_states(kept)
        if read is None:
            return None
        return Decoder(self.model, read, self.settings, capacity, self.compilations, kept)

    def translator(self) -> Translator | None:
        """What writes to sources; None where the network has no such way, or its weights are divided among
        processes."""
        read = None if self.settings.shard and self.group.size > 1 else self.model.target_states()
        return None if read is None else Translator(self.model, read, self.settings)

    @torch.no_grad()
    def attentions(self, batch: Batch) -> np.ndarray | None:
        """Of every layer and head; see the protocol."""
        self.model.eval()
        with self._autocast():
            found = self.model.attentions(self._inputs(batch))
        return None if found is None else torch.stack(found, 1).float().cpu().numpy()

    def gradients(self, micro_batches: Sequence[Batch]) -> dict[str, np.ndarray]:
        """Gradient of the mean loss by canonical name, float32 (float64 in fp64), without dropout and without an
        update."""
        self.model.eval()
        count = self._task.step_targets(micro_batches)
        for number, batch in enumerate(micro_batches):
            (self._loss(batch, True, self._perturbation(batch, number))[0] / count).backward()
        arrays = {
            name: _at_least_float32(_gradient(parameter)).cpu().numpy().copy()
            for name, parameter in self._parameters.items()
        }
        for parameter in self._trained.values():
            parameter.grad = None
        return arrays

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
                yield name, parameter.detach().float().cpu().numpy()

    def load_trainable(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``trainable``."""
        write_parameters(self.model, self.plan.shapes(), arrays)

    def state(self) -> dict[str, np.ndarray]:
        """Optimizer state by canonical name, and what is trained beside the model."""
        found = {f"{_BESIDE}{name}": p.detach().float().cpu().numpy().copy() for name, p in self._beside.items()}
        return with_state(self._optimizer.state(), self._steering) | found

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""
        added = {name: array for name, array in arrays.items() if name.startswith(_BESIDE)}
        check_arrays({f"{_BESIDE}{name}": tuple(p.shape) for name, p in self._beside.items()}, added)
        rest = {name: array for name, array in arrays.items() if name not in added}
        self._optimizer.load_state(split_state(rest, self._steering))
        with torch.no_grad():
            for name, parameter in self._beside.items():
                parameter.copy_(torch.from_numpy(np.array(added[f"{_BESIDE}{name}"])))
        self._steps = int(arrays["step"])

    def _loss(
        self, batch: Batch, differentiable: bool = True, perturbation: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        inputs = self._inputs(batch)
        if perturbation is not None:
            inputs["perturbation"] = perturbation
        with self._autocast():
            return self._loss_sum(self.model, inputs, differentiable)

    def _perturbation(self, batch: Batch, number: int) -> torch.Tensor | None:
        """Of a micro-batch in adversarial training; see `common.backend.adversarial`."""
        wanted = self.settings.adversarial
        if wanted is None:
            return None
        shape = (*batch["input_ids"].shape, self.model.perturbed_width)
        start = torch.from_numpy(initial_perturbation(wanted, self.settings.seed, self._steps, number, shape))
        with self._autocast():
            delta = self._float(start.to(self.device)).requires_grad_()
            distance = apart(self.model, self._inputs(batch), delta, self._task.smoothed)
            return grown(delta.detach(), torch.autograd.grad(distance, delta)[0], wanted)

    def _inputs(self, batch: Batch) -> dict[str, torch.Tensor]:
        tensors = ((name, torch.from_numpy(array).to(self.device, non_blocking=True)) for name, array in batch.items())
        return {name: self._float(tensor) if tensor.is_floating_point() else tensor.long() for name, tensor in tensors}

    def _float(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.double() if self.settings.dtype == "fp64" else tensor

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self.settings.dtype == "bf16")


def _loss_of(
    model: nn.Module, settings: EngineSettings, added: dict[str, nn.Parameter]
) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The task's, a student's, or that of adversarial training."""
    module, wanted = task(model.task), settings.distillation
    if settings.adversarial is not None:
        return adversarial(module.loss, module.of_logits, settings.adversarial, TASKS.get(model.task).smoothed)
    return module.loss if wanted is None else distilled(model, module.loss, module.of_logits, wanted, added)


def _logits(model: nn.Module, inputs: Mapping[str, torch.Tensor], positions: torch.Tensor) -> torch.Tensor:
    return model.logits(inputs, positions)


def _gradient(parameter: nn.Parameter) -> torch.Tensor:
    """Zeros where the loss does not reach it, as in several processes and in MindSpore."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
