"""A matrix as the product of two thin ones: y = U (V x) + b."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.models.layers.layer import Layer
from common.models.modules import Kind, ModuleSpec

__all__ = ["FACTORED", "FACTORED_TABLE", "MEMBER", "FactoredArguments", "break_even_rank"]

FACTORED = Kind("factored", lambda module: None, matrix=True)
FACTORED_TABLE = Kind("factored_table", lambda module: None, lookup=True)


@dataclass(frozen=True)
class FactoredArguments:
    """Width between the two products."""

    rank: int


def break_even_rank(module: ModuleSpec) -> int:
    """The largest rank of which the two factors hold fewer numbers than the matrix; 0 where there is none."""
    rows, columns = module.out_features, module.in_features
    return (rows * columns - 1) // (rows + columns)


class Factored(Layer):
    """Replaces a linear layer in either weight layout, or an embedding.

    Parameters of a linear layer: ``<path>.first.weight`` V ``(rank, in)``, ``<path>.second.weight`` U ``(out, rank)``,
    and ``<path>.bias`` as before. Of an embedding: the table ``<path>.first.weight`` ``(rows, rank)``, of which ids
    take rows, and ``<path>.second.weight`` ``(width, rank)``. Both are stored as of linear layers ``(out, in)``,
    whatever the layout of the weight they replace.
    """

    name = "factored"
    Arguments = FactoredArguments

    def module(self, module: ModuleSpec, arguments: FactoredArguments) -> ModuleSpec:
        """Of kind `FACTORED` or `FACTORED_TABLE`; slices stay addressable."""
        largest, rank = min(module.in_features, module.out_features), arguments.rank
        if not (module.kind.matrix or module.kind.lookup) or module.tied_to:
            raise InputError(
                f"Only linear layers and embeddings with a weight of their own are factored; {module.path} is "
                f"a {module.kind.name}" + (f" that shares the weight of {module.tied_to}." if module.tied_to else ".")
            )
        if not 1 <= rank <= largest:
            raise InputError(
                f"A rank must be between 1 and the smaller side of the matrix; {module.path} is "
                f"{module.in_features} x {module.out_features} and rank is {rank}. Use at most {largest}."
            )
        first = (module.in_features, rank) if module.kind.lookup else (rank, module.in_features)
        parameters: tuple[tuple[str, tuple[int, ...]], ...]
        parameters = (("first.weight", first), ("second.weight", (module.out_features, rank)))
        if module.bias:
            parameters = (*parameters, ("bias", (module.out_features,)))
        kind = FACTORED_TABLE if module.kind.lookup else FACTORED
        return dataclasses.replace(module, kind=kind, parameters=parameters)

    def dense(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The product of the factors."""
        first, second = self._factors(edit, arrays)
        if edit.module.kind.lookup:
            return first @ second.T  # (rows, rank) (rank, width)
        product = second @ first  # (out, rank) (rank, in)
        return product.T if edit.module.kind.transposed else product

    def absorb(
        self, edit: Edit, arrays: Mapping[str, np.ndarray], delta: tuple[np.ndarray, np.ndarray]
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """Append the update to the factors, [U, L] [V; R] = U V + L R, of rank r + the update's.

        Nothing is lost but the rounding of L and R to float32. A sum of ranks above the smaller side of the matrix is
        factored again by a full-rank SVD instead.
        """
        (first, second), (left, right) = self._factors(edit, arrays), delta
        if edit.module.kind.lookup:
            first, second = np.hstack([first, left]), np.hstack([second, right.T])
        else:
            first, second = np.vstack([first, right]), np.hstack([second, left])
        rank, largest = second.shape[1], min(edit.module.in_features, edit.module.out_features)
        if rank > largest:
            first, second = _refactored(first if edit.module.kind.lookup else first.T, second)
            first, rank = first if edit.module.kind.lookup else first.T, largest
        found = {f"{edit.path}.first.weight": first, f"{edit.path}.second.weight": second}
        return FactoredArguments(rank), {name: array.astype(np.float32) for name, array in found.items()}

    def _factors(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        names = (f"{edit.path}.first.weight", f"{edit.path}.second.weight")
        first, second = (arrays[name].astype(np.float64) for name in names)
        return first, second


def _refactored(inner: np.ndarray, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors of ``inner @ outer.T`` as wide as its smaller side: ``(in, rank)``, ``(out, rank)`` to the same."""
    u, values, vt = np.linalg.svd(inner @ outer.T, full_matrices=False)
    root = np.sqrt(values)
    return u * root, vt.T * root


MEMBER = Factored()
