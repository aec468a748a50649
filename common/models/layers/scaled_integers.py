"""A matrix or a table of integers with a scale for each output: y = (W_q x) s + b, and, where activations are quantised
too, y = (W_q x_q) s_x s + b with sums of integers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.models.layers.layer import Layer
from common.models.modules import Kind, ModuleSpec
from common.quantisation.integers import dequantised, pack, packed, quantised, scales, unpack

__all__ = ["INTEGER", "INTEGER_TABLE", "MEMBER", "IntegerArguments", "rows_first", "stored"]

INTEGER = Kind("scaled_integers", lambda module: None, matrix=True)
INTEGER_TABLE = Kind("scaled_integers_table", lambda module: None, lookup=True)


@dataclass(frozen=True)
class IntegerArguments:
    """How many bits a weight has, and how the input is quantised."""

    bits: int = 8
    activations: Literal["none", "token", "tensor"] = "none"  #: by the largest of each token, or by a stored scale
    activation_bits: int = 8


def rows_first(module: ModuleSpec, weight: np.ndarray) -> np.ndarray:
    """The weight with a row for each scale: ``(out, in)`` of a matrix, ``(rows, width)`` of a table."""
    return weight.T if module.kind.transposed else weight


def stored(
    module: ModuleSpec, weight: np.ndarray, arguments: IntegerArguments, input_scale: float | None = None
) -> dict[str, np.ndarray]:
    """The layer's arrays by name.

    Args:
        weight: as stored, float32.
        input_scale: where activations are quantised by it.
    """
    matrix = rows_first(module, weight)
    scale = scales(matrix, arguments.bits)
    codes = quantised(matrix, scale, arguments.bits)
    found = {"codes": pack(codes) if packed(arguments.bits) else codes, "scale": scale}
    if arguments.activations == "tensor":
        assert input_scale is not None
        found["input_scale"] = np.array([input_scale], np.float32)
    return {f"{module.path}.{leaf}": array for leaf, array in found.items()}


class ScaledIntegers(Layer):
    """Replaces a linear layer in either weight layout, or an embedding.

    Parameters: ``<path>.codes``, int8 ``(out, in)``, or, of at most four bits, uint8 ``(out, ceil(in / 2))`` with two
    of them in a byte; ``<path>.scale`` float32 ``(out,)``; ``<path>.input_scale`` ``(1,)`` where activations are
    quantised by a stored scale; and ``<path>.bias`` as before. Of an embedding the same with its rows for outputs and
    its width for inputs.
    """

    name = "scaled_integers"
    Arguments = IntegerArguments
    frozen = True

    def module(self, module: ModuleSpec, arguments: IntegerArguments) -> ModuleSpec:
        """Of kind `INTEGER` or `INTEGER_TABLE`; slices stay addressable."""
        if not (module.kind.matrix or module.kind.lookup) or module.tied_to:
            raise InputError(
                f"Only linear layers and embeddings with a weight of their own become integers; {module.path} is a "
                f"{module.kind.name}" + (f" that shares the weight of {module.tied_to}." if module.tied_to else ".")
            )
        bits = (arguments.bits, arguments.activation_bits)
        if not all(2 <= count <= 8 for count in bits) or (module.kind.lookup and arguments.activations != "none"):
            raise InputError(
                "Integers have 2 to 8 bits, and ids are no activations that could be quantised; for the "
                f"{module.kind.name} {module.path} received {arguments}."
            )
        rows, columns = module.out_features, module.in_features
        if module.kind.lookup:
            rows, columns = columns, rows
        two = packed(arguments.bits)
        parameters: list[tuple[str, tuple[int, ...]]]
        parameters = [("codes", (rows, (columns + 1) // 2 if two else columns)), ("scale", (rows,))]
        if arguments.activations == "tensor":
            parameters.append(("input_scale", (1,)))
        if module.bias:
            parameters.append(("bias", (module.out_features,)))
        kind = INTEGER_TABLE if module.kind.lookup else INTEGER
        dtypes = (("codes", "uint8" if two else "int8"),)
        return dataclasses.replace(module, kind=kind, parameters=tuple(parameters), dtypes=dtypes)

    def dense(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Integers times scales, as the backends multiply them."""
        codes = arrays[f"{edit.path}.codes"]
        if packed(edit.arguments.bits):
            columns = edit.module.out_features if edit.module.kind.lookup else edit.module.in_features
            codes = unpack(codes, columns)
        return rows_first(edit.module, dequantised(codes, arrays[f"{edit.path}.scale"])).astype(np.float64)


MEMBER = ScaledIntegers()
