"""A matrix or a table in NF4, see `common.quantisation.normal_floats`: y = W x + b with W made anew in every pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.models.layers.layer import Layer
from common.models.modules import Kind, ModuleSpec
from common.quantisation.normal_floats import BLOCK, Stored, dequantised, quantised, sizes

__all__ = ["MEMBER", "NORMAL_FLOAT", "NORMAL_FLOAT_TABLE", "NormalFloatArguments", "shape_of", "stored"]

NORMAL_FLOAT = Kind("normal_float", lambda module: None, matrix=True)
NORMAL_FLOAT_TABLE = Kind("normal_float_table", lambda module: None, lookup=True)


@dataclass(frozen=True)
class NormalFloatArguments:
    """Whether the scales are quantised too."""

    double: bool = True


def shape_of(module: ModuleSpec) -> tuple[int, int]:
    """(out, in) of a matrix, (rows, width) of a table: the layout in which the weight is read."""
    sides = (module.out_features, module.in_features)
    return sides[::-1] if module.kind.lookup else sides


def stored(module: ModuleSpec, weight: np.ndarray, arguments: NormalFloatArguments) -> dict[str, np.ndarray]:
    """The layer's arrays by name.

    Args:
        weight: as stored, float32.
    """
    found = quantised(weight.T if module.kind.transposed else weight, arguments.double)
    return {f"{module.path}.{leaf}": array for leaf, array in found._asdict().items() if array is not None}


class NormalFloat(Layer):
    """Replaces a linear layer in either weight layout, or an embedding whose width is a multiple of 64.

    Parameters: the arrays of `common.quantisation.normal_floats.Stored` under ``<path>``, and ``<path>.bias`` as
    before.
    """

    name = "normal_float"
    Arguments = NormalFloatArguments
    frozen = True

    def module(self, module: ModuleSpec, arguments: NormalFloatArguments) -> ModuleSpec:
        """Of kind `NORMAL_FLOAT` or `NORMAL_FLOAT_TABLE`; slices stay addressable."""
        if not (module.kind.matrix or module.kind.lookup) or module.tied_to:
            raise InputError(
                f"Only linear layers and embeddings with a weight of their own are stored in NF4; {module.path} is a "
                f"{module.kind.name}" + (f" that shares the weight of {module.tied_to}." if module.tied_to else ".")
            )
        if module.kind.lookup and module.out_features % BLOCK:
            raise InputError(
                f"A row of an embedding in NF4 is whole blocks of {BLOCK} numbers; {module.path} has "
                f"{module.out_features}. Exclude it."
            )
        codes, blocks, nested = sizes(module.in_features * module.out_features)
        parameters: list[tuple[str, tuple[int, ...]]] = [("codes", (codes,)), ("absmax", (blocks,))]
        if arguments.double:
            parameters += [("absmax_scale", (nested,)), ("offset", (1,))]
        if module.bias:
            parameters.append(("bias", (module.out_features,)))
        dtypes = (("codes", "uint8"), *((("absmax", "uint8"),) if arguments.double else ()))
        kind = NORMAL_FLOAT_TABLE if module.kind.lookup else NORMAL_FLOAT
        return dataclasses.replace(module, kind=kind, parameters=tuple(parameters), dtypes=dtypes)

    def dense(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Code book times scales, as the backends multiply them."""
        weight = dequantised(_arrays(edit, arrays), shape_of(edit.module)).astype(np.float64)
        return weight.T if edit.module.kind.transposed else weight


def _arrays(edit: Edit, arrays: Mapping[str, np.ndarray]) -> Stored:
    """The layer's arrays."""
    codes, absmax, above, offset = (f"{edit.path}.{leaf}" for leaf in Stored._fields)
    return Stored(arrays[codes], arrays[absmax], arrays.get(above), arrays.get(offset))


MEMBER = NormalFloat()
