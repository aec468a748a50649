"""A linear layer of which some outputs or inputs were taken out. It is a linear layer again, of other sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.models.layers.layer import Layer
from common.models.modules import LINEAR, ModuleSpec

__all__ = ["MEMBER", "Sliced", "SlicedArguments"]


@dataclass(frozen=True)
class SlicedArguments:
    """What is left."""

    in_features: int
    out_features: int


class Sliced(Layer):
    """Replaces a linear layer. Parameters have the names that they had, and the kind stays, so that adapters wrap it
    and merging changes its weight as of any other.

    Which rows and columns are left is not recorded: the outputs of one layer are the inputs of another, from which the
    same ones were taken, in the same order.
    """

    name = "sliced"
    Arguments = SlicedArguments

    def module(self, module: ModuleSpec, arguments: SlicedArguments) -> ModuleSpec:
        """Of the same kind, with other sizes."""
        if module.kind is not LINEAR or module.tied_to or module.slices:
            raise InputError(f"Only plain linear layers lose outputs or inputs; {module.path} is no such layer.")
        sizes = (("in_features", module.in_features), ("out_features", module.out_features))
        for name, most in sizes:
            if not 1 <= getattr(arguments, name) <= most:
                raise InputError(
                    f"What is left of the {name} of {module.path} must be between 1 and {most}; received "
                    f"{getattr(arguments, name)}."
                )
        return dataclasses.replace(module, in_features=arguments.in_features, out_features=arguments.out_features)

    def dense(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """What is left, and zeros behind it."""
        return self._padded(arrays[f"{edit.path}.weight"], (edit.module.out_features, edit.module.in_features))

    def plain(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Zeros behind what is left of the bias as well."""
        shapes = edit.module.shapes()
        return {name: self._padded(arrays[name], shape).astype(np.float32) for name, shape in shapes.items()}

    def _padded(self, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        found = np.zeros(shape)
        found[tuple(slice(size) for size in array.shape)] = array
        return found


MEMBER = Sliced()
