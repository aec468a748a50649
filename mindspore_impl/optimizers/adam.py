"""Mirrors pytorch_impl.optimizers.adam; differs: MindSpore's fused kernel, to which the bias-corrected epsilon is
passed so that it computes torch's formula.
 The kernel computes p - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + e); with e = eps sqrt(1 - b2^t) that is torch's
m^ / (sqrt(v^) + eps).
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
    beta1, beta2 = Tensor(options.beta1, ms.float32), Tensor(options.beta2, ms.float32)

    def numbers(step):
        """b1^t and b2^t of the kernel's betas, and its epsilon."""
        power1, power2 = (float(np.float32(beta)) ** step for beta in (options.beta1, options.beta2))
        return power1, power2, options.epsilon * np.sqrt(1.0 - power2)

    def update(parameter, gradient, slots, rate, given):
        return _adam(parameter, slots[0], slots[1], given[0], given[1], rate, beta1, beta2, given[2], gradient)

    return numbers, update
