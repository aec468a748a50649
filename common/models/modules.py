"""What a network consists of: modules with parameters, described before they are built. Kinds are objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "ATTENTION",
    "BIAS",
    "CONVOLUTION",
    "DISTANCES",
    "EMBEDDING",
    "LAYER_NORM",
    "LINEAR",
    "OTHER",
    "RECURRENT",
    "RMS_NORM",
    "TRANSPOSED_LINEAR",
    "Kind",
    "ModuleSpec",
    "Slices",
    "Window",
    "slice_features",
]

Shapes = dict[str, tuple[int, ...]]
Slices = tuple[tuple[str, int, int], ...]  #: name and half-open range of outputs; a name may have several ranges


@dataclass(frozen=True)
class Kind:
    """What a module computes, as far as edits and counts must know."""

    name: str
    weight: Callable[[ModuleSpec], tuple[int, ...] | None] = field(repr=False)  #: shape of its weight, or None
    matrix: bool = False  #: it multiplies by its weight, so that a low-rank update fits
    lookup: bool = False  #: its input is ids and its weight a table of rows
    transposed: bool = False  #: the weight is stored ``(in, out)``
    windowed: bool = False  #: it slides over its input; only methods that say so adapt it
    zero: bool = False  #: its weight starts at 0 in every family
    norm: bool = False  #: it normalises its input, so that its parameters are scales and shifts
    further: Callable[[ModuleSpec], Shapes] | None = field(
        default=None, repr=False
    )  #: parameters by leaf, besides these

    @property
    def adaptable(self) -> bool:
        """Whether adapters may wrap it."""
        return self.matrix or self.lookup


LINEAR = Kind("linear", lambda m: (m.out_features, m.in_features), matrix=True)
TRANSPOSED_LINEAR = Kind(
    "transposed_linear", lambda m: (m.in_features, m.out_features), matrix=True, transposed=True
)  #: GPT-2's Conv1D
EMBEDDING = Kind("embedding", lambda m: (m.in_features, m.out_features), lookup=True)  #: (rows, width)
CONVOLUTION = Kind(
    "convolution", lambda m: (m.out_features, m.in_features // m.arguments.groups, *m.arguments.kernel), windowed=True
)  #: (channels out, channels in a group, kernel); its ``arguments`` are a `Window`
DISTANCES = Kind(
    "distances", lambda m: (m.out_features, m.in_features), zero=True
)  #: minus the Euclidean distance to every row of its weight
LAYER_NORM = Kind("layer_norm", lambda m: (m.out_features,), norm=True)
RMS_NORM = Kind("rms_norm", lambda m: (m.out_features,), norm=True)  #: without a mean, and without a bias
BIAS = Kind("bias", lambda m: None)  #: a vector that is added
ATTENTION = Kind("attention", lambda m: None)  #: no parameters of its own; addressable, and counted
RECURRENT = Kind("recurrent", lambda m: None)  #: lists its ``parameters``, see `common.models.recurrence`
OTHER = Kind("other", lambda m: None)  #: lists its own ``parameters``


@dataclass(frozen=True)
class ModuleSpec:
    """One module of a network, by canonical (Hugging Face) path."""

    path: str
    kind: Kind
    in_features: int
    out_features: int
    bias: bool = True
    slices: Slices = ()  #: parts of a fused projection, see `slice_features`
    tied_to: str | None = None  #: path of the module whose weight this one shares
    parameters: tuple[tuple[str, tuple[int, ...]], ...] = ()  #: of the kinds that list them: leaf and shape
    added: tuple[str, ...] = ()  #: leaves of further biases, ``(out_features,)`` each
    biased: tuple[str, ...] = ()  #: those of ``parameters`` that are biases
    arguments: Any = None  #: what the kind needs besides: `Heads` of attention, rows of a position table
    dtypes: tuple[tuple[str, str], ...] = ()  #: leaves of ``parameters`` that hold integers, with their NumPy dtypes

    def shapes(self) -> Shapes:
        """Parameter name to shape; a tied weight is listed by its owner only."""
        shapes = {f"{self.path}.{leaf}": shape for leaf, shape in self.parameters}
        weight = self.kind.weight(self)
        if weight is not None and not self.tied_to:
            shapes[f"{self.path}.weight"] = weight
        if self.bias and (weight is not None or self.kind is BIAS):
            shapes[f"{self.path}.bias"] = (self.out_features,)
        shapes |= {f"{self.path}.{leaf}": (self.out_features,) for leaf in self.added}
        further = {} if self.kind.further is None else self.kind.further(self)
        return shapes | {f"{self.path}.{leaf}": shape for leaf, shape in further.items()}

    def integers(self) -> dict[str, np.dtype]:
        """Those of its parameters that hold integers, with their dtypes."""
        return {f"{self.path}.{leaf}": np.dtype(dtype) for leaf, dtype in self.dtypes}

    def biases(self) -> dict[str, tuple[int, ...]]:
        """Those of its parameters that are biases, with their shapes."""
        names = {f"{self.path}.{leaf}" for leaf in ("bias", *self.added, *self.biased)}
        return {name: shape for name, shape in self.shapes().items() if name in names}


def slice_features(slices: Slices) -> dict[str, np.ndarray]:
    """The output features of every slice of a fused projection, int32, by name in the order of first mention.

    Example:
        >>> slice_features((("q", 0, 2), ("k", 2, 4), ("q", 4, 6)))["q"].tolist()
        [0, 1, 4, 5]
    """
    ranges: dict[str, list[np.ndarray]] = {}
    for name, start, stop in slices:
        ranges.setdefault(name, []).append(np.arange(start, stop, dtype=np.int32))
    return {name: np.concatenate(found) for name, found in ranges.items()}


@dataclass(frozen=True)
class Heads:
    """Arguments of an attention module."""

    count: int
    projections: tuple[str, str, str]  #: paths of the query, key and value projections (equal where they are fused)
    causal: bool = False
    keys: int = 0  #: heads of keys and values, where groups of ``count`` share them; 0: as many as ``count``
    past: bool = True  #: whether keys and values can stand before those of the sequence
    memory: bool = False  #: whether keys and values are those of another sequence, which an encoder read
    positions: tuple[str, ...] = ()  #: paths of projections of a table of relative positions
    span: int = 0  #: rows of that table on either side of the middle
    terms: int = 0  #: of scores that are made of it

    @property
    def pairs(self) -> int:
        """Heads of keys and values."""
        return self.keys or self.count


@dataclass(frozen=True)
class Window:
    """Arguments of a convolution."""

    kernel: tuple[int, ...]
    groups: int = 1
