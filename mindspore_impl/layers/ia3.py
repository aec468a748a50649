"""Mirrors pytorch_impl.layers.ia3; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import Tensor, nn

from common.edits import Edit
from common.methods.ia3 import placement
from mindspore_impl import functional as F
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["IA3Linear", "build"]


class IA3Linear(Wrapper):
    """(IA)^3 of a linear layer, in either weight layout."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.of_input = edit.arguments.of_input
        self.rows, self.mask = (Tensor(array) for array in placement(edit)) if edit.arguments.slices else (None, None)

    def construct(self, x):
        if not self.active:
            return self.base_layer(x)
        if self.of_input:
            return self.base_layer(x * self.ia3_l)
        return self.base_layer(x) * self.placed()

    def placed(self):
        """P(l), ``(out,)``."""
        if self.rows is None:
            return self.ia3_l
        return F.index_select(self.ia3_l, 0, self.rows) * self.mask + (1.0 - self.mask)


build = IA3Linear
