"""Mirrors pytorch_impl.optimizers.adamw; differs: Adam's update, since weight decay is applied apart."""

from __future__ import annotations

from collections.abc import Callable

from common.optimizers.adam import AdamOptions
from mindspore_impl.optimizers import adam

__all__ = ["rule"]


def rule(options: AdamOptions) -> tuple[Callable, Callable]:
    """The numbers of a step and the update of one parameter; see `common.optimizers.adamw`."""
    return adam.rule(options)
