"""Recurrent modules as data: their parameters have torch's names, and their start values are declared here.

A layer in one direction has the weights ``weight_ih_l0`` (gates * hidden, in) and ``weight_hh_l0`` (gates * hidden,
hidden) and the biases ``bias_ih_l0`` and ``bias_hh_l0`` (gates * hidden); the second layer's end with ``l1``, those of
the other direction with ``_reverse``. Gates stand in torch's order: input, forget, cell, output of an LSTM (Hochreiter
and Schmidhuber 1997); reset, update, new of a GRU (Cho et al. 2014).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from common.errors import InputError, nearest
from common.models.modules import RECURRENT, ModuleSpec
from common.random import uniform

__all__ = ["CELLS", "Recurrence", "initial", "parameter_count", "recurrent", "width_of_budget"]

CELLS = {"tanh": 1, "lstm": 4, "gru": 3}  #: gates of each kind of cell
_FORGET = 1  #: place of the forget gate of an LSTM


@dataclass(frozen=True)
class Recurrence:
    """Arguments of a recurrent module."""

    cell: str  #: one of `CELLS`
    hidden: int  #: of one direction
    layers: int = 1
    bidirectional: bool = False
    forget_bias: float = 0.0  #: that the forget gate of an LSTM starts with

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the parameters of every direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def width(self) -> int:
        """Of the outputs."""
        return self.hidden * len(self.suffixes)

    def parameters(self, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Leaf and shape of every parameter, in torch's order."""
        rows = CELLS[self.cell] * self.hidden
        for layer in range(self.layers):
            width = self.width if layer else inputs
            for suffix in self.suffixes:
                yield f"weight_ih_l{layer}{suffix}", (rows, width)
                yield f"weight_hh_l{layer}{suffix}", (rows, self.hidden)
                yield f"bias_ih_l{layer}{suffix}", (rows,)
                yield f"bias_hh_l{layer}{suffix}", (rows,)


def recurrent(path: str, inputs: int, recurrence: Recurrence) -> ModuleSpec:
    """The module at ``path`` for inputs of a width.

    Raises:
        InputError: there is no such cell.

    Example:
        >>> recurrent("lstm", 3, Recurrence("lstm", 2)).shapes()["lstm.weight_ih_l0"]
        (8, 3)
    """
    if recurrence.cell not in CELLS:
        raise InputError(
            f"A recurrent cell must be one of {', '.join(CELLS)}; received {recurrence.cell!r}."
            f"{nearest(recurrence.cell, CELLS)}"
        )
    listed = tuple(recurrence.parameters(inputs))
    biases = tuple(leaf for leaf, shape in listed if len(shape) == 1)
    return ModuleSpec(
        path, RECURRENT, inputs, recurrence.width, False, parameters=listed, biased=biases, arguments=recurrence
    )


def initial(module: ModuleSpec, name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Start value of one parameter: weights uniform within 1 / sqrt(hidden), as torch's, and biases 0, but for the one
    of the forget gate."""
    recurrence: Recurrence = module.arguments
    if name not in module.biases():
        return uniform(seed, name, shape, 1.0 / math.sqrt(recurrence.hidden))
    value = np.zeros(shape, np.float32)
    if recurrence.cell == "lstm" and name.rpartition(".")[2].startswith("bias_ih"):
        value[_FORGET * recurrence.hidden : (_FORGET + 1) * recurrence.hidden] = recurrence.forget_bias
    return value


def parameter_count(inputs: int, recurrence: Recurrence) -> int:
    """Scalars of a recurrent module."""
    return sum(math.prod(shape) for _, shape in recurrence.parameters(inputs))


def width_of_budget(budget: int, inputs: int, outputs: int, cell: str, layers: int = 1) -> int:
    """The hidden size with which ``cell`` and a linear layer to ``outputs`` have as many parameters as fit in
    ``budget``, for comparisons of cells of equal size (Chung et al. 2014).

    Raises:
        InputError: no size fits.
    """

    def total(hidden: int) -> int:
        return parameter_count(inputs, Recurrence(cell, hidden, layers)) + (hidden + 1) * outputs

    if total(1) > budget:
        raise InputError(f"A {cell} of one unit has {total(1)} parameters; received a budget of {budget}.")
    low, high = 1, 2
    while total(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if total(middle) <= budget else (low, middle)
    return low
