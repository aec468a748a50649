"""Mirrors pytorch_impl.optimizers.adadelta; differs: torch's formula in plain operators."""

from __future__ import annotations

from collections.abc import Callable

from mindspore import ops

from common.optimizers.adadelta import AdadeltaOptions

__all__ = ["rule"]


def rule(options: AdadeltaOptions) -> tuple[Callable, Callable]:
    """The numbers of a step, of which there are none, and the update of one parameter; see
    `common.optimizers.adadelta`."""
    rho, epsilon = options.rho, options.epsilon  # constants of the graph
    rest = 1.0 - rho

    def numbers(step):
        return ()

    def update(parameter, gradient, slots, rate, given):
        squares = ops.assign(slots[0], slots[0] * rho + gradient * gradient * rest)
        change = ops.sqrt(slots[1] + epsilon) / ops.sqrt(squares + epsilon) * gradient
        kept = ops.assign(slots[1], slots[1] * rho + change * change * rest)
        return ops.assign(parameter, parameter - ops.depend(change, kept) * rate)

    return numbers, update
