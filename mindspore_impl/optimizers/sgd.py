"""Mirrors pytorch_impl.optimizers.sgd; differs: torch's formula in plain operators."""

from __future__ import annotations

from collections.abc import Callable

from mindspore import ops

from common.optimizers.sgd import SGDOptions

__all__ = ["rule"]


def rule(options: SGDOptions) -> tuple[Callable, Callable]:
    """The numbers of a step, of which there are none, and the update of one parameter; see `common.optimizers.sgd`."""
    momentum, nesterov = options.momentum, options.nesterov  # constants of the graph

    def numbers(step):
        return ()

    def update(parameter, gradient, slots, rate, given):
        direction = gradient
        if momentum > 0.0:
            total = ops.assign(slots[0], slots[0] * momentum + gradient)
            direction = gradient + total * momentum if nesterov else total
        return ops.assign(parameter, parameter - direction * rate)

    return numbers, update
