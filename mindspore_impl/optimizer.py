"""Mirrors pytorch_impl.optimizer; differs: clipping, every parameter's update and the bound are one compiled graph, to
which the numbers that change with the step are passed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.backend import EngineSettings
from common.members import file_name
from common.optimizers import OPTIMIZERS
from common.optimizers.bounding import LEAST
from common.strict import check_arrays
from mindspore_impl.layers.modules import assign

__all__ = ["Optimizer"]


def _zeros(slots: Sequence[str], parameters: Sequence[Parameter]) -> ms.ParameterTuple:
    """The arrays of every slot, one slot after the other."""
    return ms.ParameterTuple(
        [
            Parameter(Tensor(np.zeros(p.shape, np.float32)), name=f"{slot}.{p.name}", requires_grad=False)
            for slot in slots
            for p in parameters
        ]
    )


def _scalars(numbers: Iterable[float]) -> tuple[Tensor, ...]:
    return tuple(Tensor(number, ms.float32) for number in numbers)


class _Update(nn.Cell):
    """Clips and updates every parameter; compiled as one graph.

    Args:
        slots: names of what the rule keeps.
        decayed: whether weight decay applies, for every parameter.
        groups: number of its learning rate, for every parameter.
        bounded: number of the parameter whose rows are bounded; -1 where there is none.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        slots: Sequence[str],
        update: Callable,
        decayed: Sequence[bool],
        groups: Sequence[int],
        bounded: int,
        settings: EngineSettings,
    ):
        super().__init__(auto_prefix=False)
        wanted = settings.optimization
        self.parameters, self.kept = ms.ParameterTuple(parameters), _zeros(slots, parameters)
        self.update, self.slots = update, len(slots)
        self.decayed, self.groups, self.count = tuple(decayed), tuple(groups), max(groups) + 1
        self.decay, self.max_grad_norm = wanted.weight_decay, wanted.max_grad_norm
        self.decoupled = OPTIMIZERS.get(wanted.optimizer).decoupled
        self.bounded, self.bound = bounded, wanted.max_norm

    def construct(self, *given):
        # the learning rates of the groups, by what each multiplies its parameters, the gradients, the rule's numbers
        count, size = self.count, len(self.parameters)
        rates, keeps, gradients = given[:count], given[count : 2 * count], given[2 * count : 2 * count + size]
        numbers = given[2 * count + size :]
        squares = ops.zeros((), ms.float32)
        for gradient in gradients:
            squares = squares + (gradient * gradient).sum()
        norm = ops.sqrt(squares)
        factor = (
            ops.ones((), ms.float32)
            if self.max_grad_norm is None
            else ops.minimum(self.max_grad_norm / (norm + 1e-6), ops.ones((), ms.float32))
        )
        for index in range(size):
            parameter, gradient, group = self.parameters[index], gradients[index] * factor, self.groups[index]
            if self.decayed[index] and self.decoupled:
                parameter = ops.depend(parameter, ops.assign(parameter, parameter * keeps[group]))
            elif self.decayed[index]:
                gradient = gradient + parameter * self.decay
            kept = tuple([self.kept[slot * size + index] for slot in range(self.slots)])
            done = self.update(parameter, gradient, kept, rates[group], numbers)
            norm = ops.depend(norm, done)
            if index == self.bounded:
                norm = ops.depend(norm, _bound(self.parameters[index], done, self.bound))
        return norm


def _bound(parameter, done, bound):
    """Shorten the rows of ``(rows, width)`` that are longer than ``bound``, after the update ``done``."""
    value = ops.depend(parameter, done)
    norms = ops.sqrt((value * value).sum(1, keepdims=True))
    factors = ops.where(norms > bound, bound / (norms + LEAST), ops.ones_like(norms))
    return ops.assign(parameter, value * factors)


class Optimizer:
    """The optimizer of the trained parameters."""

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        decayed: frozenset[str],
        rates: Mapping[str, float],
        settings: EngineSettings,
    ):
        self.parameters = dict(parameters)
        self.settings, wanted = settings, settings.optimization
        module = importlib.import_module(f"mindspore_impl.optimizers.{file_name(wanted.optimizer)}")
        self._numbers, update = module.rule(wanted)
        decays = [name in decayed and wanted.weight_decay > 0.0 for name in parameters]
        self._factors = sorted(set(rates.values()))
        groups = [self._factors.index(rates[name]) for name in parameters]
        bounded = -1 if settings.bounded is None else list(parameters).index(settings.bounded)
        slots = OPTIMIZERS.get(wanted.optimizer).slots(wanted)
        self._update = _Update(list(parameters.values()), slots, update, decays, groups, bounded, settings)
        if settings.compile is not False:
            self._update.construct = ms.jit(self._update.construct)
        self._steps = 0

    def step(self, gradients: tuple[Tensor, ...], learning_rate: float) -> Tensor:
        """Clip and update; returns the gradients' global norm before clipping, a scalar on the device."""
        self._steps += 1
        rates = [learning_rate * factor for factor in self._factors]
        keeps = [1.0 - rate * self.settings.optimization.weight_decay for rate in rates]
        return self._update(*_scalars(rates), *_scalars(keeps), *gradients, *_scalars(self._numbers(self._steps)))

    def state(self) -> dict[str, np.ndarray]:
        """``step`` (int64 scalar) and what the rule keeps of every parameter, float32."""
        kept = {array.name: array.asnumpy().copy() for array in self._update.kept}
        return {"step": np.asarray(self._steps, np.int64), **kept}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""
        check_arrays(self.state(), arrays)
        for array in self._update.kept:
            assign(array, arrays[array.name])
        self._steps = int(arrays["step"])
