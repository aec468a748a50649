"""Mirrors pytorch_impl.layers.wrapper; differs: parameters are named canonically, and graphs read ``active`` as a
constant."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import Parameter, Tensor, nn

from common.edits import Edit
from common.errors import InputError
from common.methods import Method
from mindspore_impl.layers.modules import assign

__all__ = ["Wrapper"]


class Wrapper(nn.Cell):
    """Holds ``base_layer`` and the parameters of ``edit``, each as an attribute of its leaf name."""

    method: Method  #: whose edit it carries out; given by `rewrite`

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(auto_prefix=False)
        self.base_layer = base_layer
        self.edit = edit
        self.path = edit.path
        self.active = True
        self._enabled = True
        self._kept: dict[str, np.ndarray] | None = None  # the base parameters as they were, while merged
        for parameter in edit.parameters:
            array = np.array(values[parameter.name], np.float32)
            setattr(self, parameter.leaf, Parameter(Tensor(array), name=parameter.name))

    @property
    def merged(self) -> bool:
        """Whether the update is folded into the base weight."""
        return self._kept is not None

    @property
    def enabled(self) -> bool:
        """Whether the update is switched on. ``active``, which graphs read as a constant, follows it and ``merged``."""
        return self._enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self._enabled = enabled
        self.active = enabled and not self.merged

    def arrays(self) -> dict[str, np.ndarray]:
        """The edit's parameters by name, float32."""
        return {p.name: getattr(self, p.leaf).asnumpy() for p in self.edit.parameters}

    def merge(self) -> float:
        """Fold the update into the base weight; returns the relative rounding error."""
        if self.merged:
            raise InputError(
                f"{self.edit.path} is merged already; merging twice would add the update twice. Call unmerge first."
            )
        base = {leaf: getattr(self.base_layer, leaf, None) for leaf in ("weight", "bias")}
        arrays = {leaf: parameter.asnumpy() for leaf, parameter in base.items() if parameter is not None}
        folded, error = self.method.fold(self.edit, arrays, self.arrays())
        self._kept = {leaf: arrays[leaf].copy() for leaf in folded}
        for leaf, array in folded.items():
            assign(base[leaf], array)
        self.active = False
        return error

    def unmerge(self) -> None:
        """Put the kept copies of the base parameters back: exact, to the bit."""
        if self._kept is not None:
            for leaf, kept in self._kept.items():
                assign(getattr(self.base_layer, leaf), kept)
            self._kept = None
            self.active = self._enabled
