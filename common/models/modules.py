"""What a network consists of: modules with parameters, described before they are built. Kinds are objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "ATTENTION",
    "BIAS",
    "CONVOLUTION",
    "EMBEDDING",
    "LAYER_NORM",
    "LINEAR",
    "OTHER",
    "RMS_NORM",
    "TRANSPOSED_LINEAR",
    "Kind",
    "ModuleSpec",
    "Window",
]

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Kind:
    """What a module computes, as far as edits and counts must know."""

    name: str
    weight: Callable[[ModuleSpec], tuple[int, ...] | None] = field(repr=False)  #: shape of its weight, or None
    matrix: bool = False  #: it multiplies by its weight, so that a low-rank update fits
    lookup: bool = False  #: its input is ids and its weight a table of rows
    transposed: bool = False  #: the weight is stored ``(in, out)``
    windowed: bool = False  #: it slides over its input; only methods that say so adapt it
    norm: bool = False  #: it normalises its input, so that its parameters are scales and shifts

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
LAYER_NORM = Kind("layer_norm", lambda m: (m.out_features,), norm=True)
RMS_NORM = Kind("rms_norm", lambda m: (m.out_features,), norm=True)  #: without a mean, and without a bias
BIAS = Kind("bias", lambda m: None)  #: a vector that is added
ATTENTION = Kind("attention", lambda m: None)  #: no parameters of its own; addressable, and counted
OTHER = Kind("other", lambda m: None)  #: lists its own ``parameters``


@dataclass(frozen=True)
class ModuleSpec:
    """One module of a network, by canonical (Hugging Face) path."""

    path: str
    kind: Kind
    in_features: int
    out_features: int
    bias: bool = True
    slices: tuple[tuple[str, int, int], ...] = ()  #: parts of a fused projection: half-open ranges of its outputs
    tied_to: str | None = None  #: path of the module whose weight this one shares
    parameters: tuple[tuple[str, tuple[int, ...]], ...] = ()  #: of kind ``other``: leaf and shape
    arguments: Any = None  #: what the kind needs besides: `Heads` of attention, rows of a position table

    def shapes(self) -> Shapes:
        """Parameter name to shape; a tied weight is listed by its owner only."""
        shapes = {f"{self.path}.{leaf}": shape for leaf, shape in self.parameters}
        weight = self.kind.weight(self)
        if weight is not None and not self.tied_to:
            shapes[f"{self.path}.weight"] = weight
        if self.bias and (weight is not None or self.kind is BIAS):
            shapes[f"{self.path}.bias"] = (self.out_features,)
        return shapes


@dataclass(frozen=True)
class Heads:
    """Arguments of an attention module."""

    count: int
    projections: tuple[str, str, str]  #: paths of the query, key and value projections (equal where they are fused)
    causal: bool = False
    keys: int = 0  #: heads of keys and values, where groups of ``count`` share them; 0: as many as ``count``
    past: bool = True  #: whether keys and values can stand before those of the sequence

    @property
    def pairs(self) -> int:
        """Heads of keys and values."""
        return self.keys or self.count


@dataclass(frozen=True)
class Window:
    """Arguments of a convolution."""

    kernel: tuple[int, ...]
    groups: int = 1
