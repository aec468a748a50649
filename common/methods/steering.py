"""What a method does in every training step besides the gradient: terms of the loss that depend on the trained
parameters alone, and changes after the update. It is decided in NumPy, so that both backends decide alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

__all__ = ["PREFIX", "Steering", "split_state", "with_state"]

PREFIX = "steering."  #: of its arrays among those of an engine's state


class Steering(Protocol):
    """Made for one plan by `common.methods.method.Method.steering`; an engine calls it in every step."""

    names: tuple[str, ...]  #: trained parameters that it reads

    def gradients(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Gradients of the terms that are added to the mean loss, by name; before clipping.

        Args:
            arrays: the parameters ``names``, float32 at least.
        """

    def after(
        self, step: int, arrays: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """New values of parameters after an update, by name.

        Args:
            step: updates so far, from 1.
            arrays: the parameters ``names`` after it.
            gradients: of the loss with the added terms, before clipping.
        """

    def state(self) -> dict[str, np.ndarray]:
        """What must be kept to continue a training; always of the same names and shapes."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""


def with_state(arrays: dict[str, np.ndarray], steering: Steering | None) -> dict[str, np.ndarray]:
    """An engine's state with that of its steering."""
    return arrays if steering is None else arrays | {PREFIX + name: a for name, a in steering.state().items()}


def split_state(arrays: Mapping[str, np.ndarray], steering: Steering | None) -> dict[str, np.ndarray]:
    """The optimizer's part of an engine's state; the rest is put into ``steering``.

    Raises:
        InputError: the rest is not exactly what ``steering`` holds.
    """
    if steering is None:
        return dict(arrays)
    steering.load_state({name.removeprefix(PREFIX): a for name, a in arrays.items() if name.startswith(PREFIX)})
    return {name: array for name, array in arrays.items() if not name.startswith(PREFIX)}
