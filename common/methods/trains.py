"""Matrices as tensor trains (Oseledets 2011): a chain of small cores in the place of one large weight."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from common.edits import Init, Normal, ParameterSpec, Zeros

__all__ = ["Train", "core_names", "core_parameters", "factors", "train_of"]

_WANTED = 8  #: what factors are near to
_ROWS = 512  #: inputs of a step that ways of computing are compared for: 16 sentences of 32 tokens


@cache
def factors(size: int) -> tuple[int, ...]:
    """``size`` as a product of numbers near 8: those with the least sum of squared logarithms of f / 8. The nearest to 8
    come first.

        >>> factors(768), factors(384), factors(64)
        ((8, 8, 12), (8, 8, 6), (8, 8))
    """
    if size == 1:
        return (1,)
    best = min(_factorizations(size, 2), key=lambda found: (sum(map(_distance, found)), found))
    return tuple(sorted(best, key=lambda factor: (_distance(factor), factor)))


def _distance(factor: int) -> float:
    return math.log(factor / _WANTED) ** 2


def _factorizations(size: int, least: int) -> Iterator[tuple[int, ...]]:
    """Every way to write ``size`` as a product of ascending factors of at least ``least``."""
    yield (size,)
    for factor in range(least, math.isqrt(size) + 1):
        if size % factor == 0:
            yield from ((factor, *rest) for rest in _factorizations(size // factor, factor))


@dataclass(frozen=True)
class Train:
    """A matrix (in, out) as cores G_k of shape (r_k-1, n_k, r_k), whose contraction is a tensor with the axes
    (n_1, ..., n_d): first the factors of ``in``, then those of ``out``. The ranks r_0 and r_d are 1."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    rank: int  #: of every bond, or less where a bond has room for less

    @property
    def in_features(self) -> int:
        """Rows of the matrix."""
        return math.prod(self.inputs)

    @property
    def out_features(self) -> int:
        """Columns of the matrix."""
        return math.prod(self.outputs)

    @property
    def ranks(self) -> tuple[int, ...]:
        """r_0 to r_d. A bond has room for the product of the sizes on its smaller side."""
        modes = (*self.inputs, *self.outputs)
        rooms = (min(math.prod(modes[:k]), math.prod(modes[k:])) for k in range(len(modes) + 1))
        return tuple(min(self.rank, room) for room in rooms)

    @property
    def bond(self) -> int:
        """The rank between inputs and outputs, which is the rank of the matrix."""
        return self.ranks[len(self.inputs)]

    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Of the cores, in order."""
        ranks = self.ranks
        return tuple((ranks[k], n, ranks[k + 1]) for k, n in enumerate((*self.inputs, *self.outputs)))

    @property
    def size(self) -> int:
        """Number of scalars of all cores.

        >>> train_of(768, 64, 5).size
        780
        """
        return sum(map(math.prod, self.shapes()))

    def operations(self, rows: int) -> dict[str, int]:
        """Multiplications and additions of ``rows`` inputs times the matrix: ``cores`` contracts the input's cores to
        (in, bond) and the output's to (bond, out) and multiplies by one after the other; ``matrix`` multiplies the
        two first."""
        ranks, split, d = self.ranks, len(self.inputs), len(self.inputs) + len(self.outputs)
        left = sum(math.prod(self.inputs[:k]) * ranks[k] * self.inputs[k] * ranks[k + 1] for k in range(1, split))
        right = sum(
            ranks[k] * (self.inputs + self.outputs)[k] * ranks[k + 1] * math.prod(self.outputs[k + 1 - split :])
            for k in range(split, d - 1)
        )
        thin = rows * self.bond * (self.in_features + self.out_features)
        whole = (rows + self.bond) * self.in_features * self.out_features
        return {"cores": 2 * (left + right + thin), "matrix": 2 * (left + right + whole)}

    @cached_property
    def by_cores(self) -> bool:
        """Whether the matrix is never formed, since that takes fewer operations."""
        counted = self.operations(_ROWS)
        return counted["cores"] <= counted["matrix"]

    def matrix(self, cores: Sequence[np.ndarray]) -> np.ndarray:
        """The whole matrix ``(in, out)``, of the cores' dtype."""
        found = np.ones((1, 1), cores[0].dtype)
        for core in cores:
            found = (found @ core.reshape(core.shape[0], -1)).reshape(-1, core.shape[2])
        return found.reshape(self.in_features, self.out_features)


def train_of(in_features: int, out_features: int, rank: int, given: Sequence[tuple[int, ...]] = ()) -> Train:
    """A train for a matrix of these sizes, with `factors` of each; the largest of them stand in the middle.

    Args:
        given: factorizations that are used instead, each for its own product and in its own order.
    """
    known = {math.prod(listed): tuple(listed) for listed in given}
    inputs = known.get(in_features, factors(in_features))
    outputs = known.get(out_features, factors(out_features)[::-1])
    return Train(inputs, outputs, rank)


def core_names(prefix: str, train: Train) -> list[str]:
    """``<prefix>_core_<k>`` for every core, in order."""
    return [f"{prefix}_core_{k}" for k in range(len(train.inputs) + len(train.outputs))]


def core_parameters(prefix: str, train: Train, component: str, zero: bool = False) -> tuple[ParameterSpec, ...]:
    """The parameters of a train, normal so that the matrix's entries have the variance 1 / (in + out).

    Args:
        zero: the last core is zero, and so is the matrix.
    """
    shapes = train.shapes()
    spread = (1.0 / (train.in_features + train.out_features)) ** (0.5 / len(shapes))
    inits: list[Init] = [Normal(spread / math.sqrt(shape[2])) for shape in shapes]
    listed = [*inits[:-1], Zeros()] if zero else inits
    return tuple(
        ParameterSpec(name, shape, component, init)
        for name, shape, init in zip(core_names(prefix, train), shapes, listed, strict=True)
    )
