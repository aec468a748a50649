"""Mirrors pytorch_impl.optimizer; differs: MindSpore's fused Adam kernel, to which the bias-corrected epsilon is passed
so that it computes torch's formula.
 The kernel computes p - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + e); with e = eps sqrt(1 - b2^t) that is torch's
m^ / (sqrt(v^) + eps).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.backend import EngineSettings
from common.strict import check_arrays
from mindspore_impl.layers.modules import assign

__all__ = ["AdamW"]

_adam = ops.Adam()


def _zeros(moment: str, parameters: list[Parameter]) -> ms.ParameterTuple:
    return ms.ParameterTuple(
        [
            Parameter(Tensor(np.zeros(p.shape, np.float32)), name=f"{moment}.{p.name}", requires_grad=False)
            for p in parameters
        ]
    )


def _scalars(numbers: Iterable[float]) -> tuple[Tensor, ...]:
    return tuple(Tensor(number, ms.float32) for number in numbers)


class _Update(nn.Cell):
    """Clips and updates every parameter; compiled as one graph."""

    def __init__(self, parameters: list[Parameter], decays: list[bool], groups: list[int], settings: EngineSettings):
        super().__init__(auto_prefix=False)
        self.parameters = ms.ParameterTuple(parameters)
        self.first, self.second = _zeros("exp_avg", parameters), _zeros("exp_avg_sq", parameters)
        self.decays, self.groups = tuple(decays), tuple(groups)  # a group has one learning rate
        self.count = max(groups) + 1
        self.settings_decay, self.max_norm = settings.weight_decay, settings.max_grad_norm
        self.beta1, self.beta2 = Tensor(settings.beta1, ms.float32), Tensor(settings.beta2, ms.float32)

    def construct(self, power1, power2, epsilon, *given):
        # the learning rates of the groups, by what each multiplies its parameters, and the gradients
        count = self.count
        rates, keeps, gradients = given[:count], given[count : 2 * count], given[2 * count :]
        squares = ops.zeros((), ms.float32)
        for gradient in gradients:
            squares = squares + (gradient * gradient).sum()
        norm = ops.sqrt(squares)
        factor = (
            ops.ones((), ms.float32)
            if self.max_norm is None
            else ops.minimum(self.max_norm / (norm + 1e-6), ops.ones((), ms.float32))
        )
        for index in range(len(self.parameters)):
            parameter = self.parameters[index]
            if self.decays[index]:
                parameter = ops.depend(parameter, ops.assign(parameter, parameter * keeps[self.groups[index]]))
            done = _adam(
                parameter,
                self.first[index],
                self.second[index],
                power1,
                power2,
                rates[self.groups[index]],
                self.beta1,
                self.beta2,
                epsilon,
                gradients[index] * factor,
            )
            norm = ops.depend(norm, done)
        return norm


class AdamW:
    """The optimizer of the trained parameters."""

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        decayed: frozenset[str],
        rates: Mapping[str, float],
        settings: EngineSettings,
    ):
        self.parameters = dict(parameters)
        self.settings = settings
        decays = [name in decayed and settings.weight_decay > 0.0 for name in parameters]
        self._factors = sorted(set(rates.values()))
        groups = [self._factors.index(rates[name]) for name in parameters]
        self._update = _Update(list(parameters.values()), decays, groups, settings)
        if settings.compile is not False:
            self._update.construct = ms.jit(self._update.construct)
        self._steps = 0

    def step(self, gradients: tuple[Tensor, ...], learning_rate: float) -> Tensor:
        """Clip and update; returns the gradients' global norm before clipping, a scalar on the device."""
        self._steps += 1
        power1, power2 = (
            float(np.float32(beta)) ** self._steps for beta in (self.settings.beta1, self.settings.beta2)
        )  # the kernel's betas
        rates = [learning_rate * factor for factor in self._factors]
        keeps = [1.0 - rate * self.settings.weight_decay for rate in rates]
        numbers = (power1, power2, self.settings.epsilon * np.sqrt(1.0 - power2))
        return self._update(*_scalars(numbers), *_scalars(rates), *_scalars(keeps), *gradients)

    def state(self) -> dict[str, np.ndarray]:
        """``step`` (int64 scalar) and both moments of every parameter, float32."""
        moments = {moment.name: moment.asnumpy().copy() for moment in (*self._update.first, *self._update.second)}
        return {"step": np.asarray(self._steps, np.int64), **moments}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""
        check_arrays(self.state(), arrays)
        for moment in (*self._update.first, *self._update.second):
            assign(moment, arrays[moment.name])
        self._steps = int(arrays["step"])
