"""The contract of a layer that replaces a module: its parameters, and how it relates to the weight that it replaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from common.edits import Edit, ParameterSpec
from common.models.modules import ModuleSpec

__all__ = ["Layer"]

Delta = tuple[np.ndarray, np.ndarray]


class Layer:
    """One kind of replacement. Members override what differs; ``name`` is the file's, here and in the backends."""

    name: ClassVar[str]
    Arguments: ClassVar[type]  #: frozen dataclass of plain values, stored in config.json
    frozen: ClassVar[bool] = False  #: its weight has no gradient, and an update makes it a plain one

    def module(self, module: ModuleSpec, arguments: Any) -> ModuleSpec:
        """What stands at the path afterwards: a kind of its own, which lists its ``parameters``.

        Raises:
            InputError: ``module`` cannot be replaced, or not with these arguments.
        """
        raise NotImplementedError

    def dense(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The weight that computes the same in ``edit.module``, float64 in its layout."""
        raise NotImplementedError

    def plain(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All parameters of ``edit.module`` that compute the same, float32."""
        weight = f"{edit.path}.weight"
        kept = {name: arrays[name] for name in edit.module.shapes() if name != weight}
        return {weight: np.ascontiguousarray(self.dense(edit, arrays), np.float32), **kept}

    def absorb(
        self, edit: Edit, arrays: Mapping[str, np.ndarray], delta: Delta
    ) -> tuple[Any, dict[str, np.ndarray]] | None:
        """Add a low-rank update to the layer's own parameters.

        Args:
            delta: two float64 matrices, see `common.methods.method.Method.delta`, for the kind that `module` gives.

        Returns:
            The arguments afterwards, and the float32 arrays that changed, by name. None where this layer cannot take
            in an update.
        """
        return None

    def edit(self, module: ModuleSpec, arguments: Any) -> Edit:
        """The edit that puts this layer in the place of ``module``."""
        after = self.module(module, arguments)
        parameters = tuple(ParameterSpec(name, shape, self.name) for name, shape in after.shapes().items())
        return Edit(module.path, self.name, "replace", module, arguments, parameters)
