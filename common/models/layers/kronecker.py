"""A matrix as a sum of Kronecker products: W = sum of A_t (x) B_t, which is never formed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.models.layers.layer import Layer
from common.models.modules import Kind, ModuleSpec

__all__ = ["KRONECKER", "KRONECKER_TABLE", "MEMBER", "KroneckerArguments", "right_first", "shapes"]

KRONECKER = Kind("kronecker", lambda module: None, matrix=True)
KRONECKER_TABLE = Kind("kronecker_table", lambda module: None, lookup=True)

Shape = tuple[int, int]


@dataclass(frozen=True)
class KroneckerArguments:
    """Shape of the right factors, ``(outputs, inputs)``, and how many products are added."""

    outputs: int
    inputs: int
    terms: int = 1


def shapes(module: ModuleSpec, arguments: KroneckerArguments) -> tuple[Shape, Shape]:
    """(out, in) of one left and of one right factor."""
    left = (module.out_features // arguments.outputs, module.in_features // arguments.inputs)
    return left, (arguments.outputs, arguments.inputs)


def right_first(module: ModuleSpec, arguments: KroneckerArguments) -> bool:
    """Whether multiplying by the right factors first takes fewer multiplications than by the left ones."""
    (left_out, left_in), (right_out, right_in) = shapes(module, arguments)
    return left_in * right_out * (right_in + left_out) <= right_in * left_out * (left_in + right_out)


class Kronecker(Layer):
    """Replaces a linear layer in either weight layout, or an embedding.

    Parameters of a linear layer: ``<path>.left`` A ``(terms, out / outputs, in / inputs)``, ``<path>.right`` B
    ``(terms, outputs, inputs)``, and ``<path>.bias`` as before. Of an embedding, whose right factors have one input:
    the table ``<path>.left`` ``(rows, terms, width / outputs)``, of which ids take rows, and ``<path>.right``
    ``(terms, outputs, 1)``.
    """

    name = "kronecker"
    Arguments = KroneckerArguments

    def module(self, module: ModuleSpec, arguments: KroneckerArguments) -> ModuleSpec:
        """Of kind `KRONECKER` or `KRONECKER_TABLE`; slices stay addressable."""
        if not (module.kind.matrix or module.kind.lookup) or module.tied_to:
            raise InputError(
                f"Only linear layers and embeddings with a weight of their own become Kronecker products; {module.path} "
                f"is a {module.kind.name}"
                + (f" that shares the weight of {module.tied_to}." if module.tied_to else ".")
            )
        outputs, inputs, terms = arguments.outputs, arguments.inputs, arguments.terms
        sides = min(outputs, inputs, terms) >= 1 and not (module.out_features % outputs or module.in_features % inputs)
        if not sides or (module.kind.lookup and inputs != 1):
            raise InputError(
                "The sides of a right factor must divide those of the matrix, of an embedding its width alone, and "
                f"there must be a term; {module.path} is {module.out_features} x {module.in_features} (out x in), the "
                f"right factor {outputs} x {inputs}, and terms is {terms}."
            )
        (left_out, left_in), right = shapes(module, arguments)
        left = (left_in, terms, left_out) if module.kind.lookup else (terms, left_out, left_in)
        parameters: tuple[tuple[str, tuple[int, ...]], ...] = (("left", left), ("right", (terms, *right)))
        if module.bias:
            parameters = (*parameters, ("bias", (module.out_features,)))
        kind = KRONECKER_TABLE if module.kind.lookup else KRONECKER
        return dataclasses.replace(module, kind=kind, parameters=parameters)

    def dense(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sum of the products."""
        left, right = (arrays[f"{edit.path}.{leaf}"].astype(np.float64) for leaf in ("left", "right"))
        if edit.module.kind.lookup:
            left = left.transpose(1, 2, 0)  # (terms, width / outputs, rows)
        weight = np.einsum("toi,tpj->opij", left, right).reshape(edit.module.out_features, edit.module.in_features)
        return weight.T if edit.module.kind.transposed or edit.module.kind.lookup else weight


MEMBER = Kronecker()
