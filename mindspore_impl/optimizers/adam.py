"""Mirrors pytorch_impl.optimizers.adam; differs: MindSpore's fused kernel, to which the step's size and epsilon are
passed bias-corrected, so that it computes torch's formula.

The kernel computes p - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + e), in float32, where 1 - b2^t of the second step
has three digits less than float32. So it is given b1^t = b2^t = 0, and for lr and e the corrected ones, computed in
float64: lr sqrt(1 - b2^t) / (1 - b1^t) and eps sqrt(1 - b2^t) make it torch's lr m^ / (sqrt(v^) + eps).
"""

from __future__ import annotations

from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from common.optimizers.adam import AdamOptions

__all__ = ["rule"]

_adam = ops.Adam()


def rule(options: AdamOptions) -> tuple[Callable, Callable]:
    """The numbers of a step and the update of one parameter; see `common.optimizers.adam`."""
    beta1, beta2, zero = (Tensor(number, ms.float32) for number in (options.beta1, options.beta2, 0.0))

    def numbers(step):
        """What the learning rate is multiplied by, and the kernel's epsilon; with the kernel's betas, which are
        float32's."""
        first, second = (1.0 - float(np.float32(beta)) ** step for beta in (options.beta1, options.beta2))
        return np.sqrt(second) / first, options.epsilon * np.sqrt(second)

    def update(parameter, gradient, slots, rate, given):
        return _adam(parameter, slots[0], slots[1], zero, zero, rate * given[0], beta1, beta2, given[1], gradient)

    return numbers, update
