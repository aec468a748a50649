"""Mirrors pytorch_impl.layers.vera; differs: parameters are named canonically, and layers of one size share their part
of the matrices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from mindspore import Tensor, nn

from common.edits import Edit
from common.methods.vera import Projections, projections
from mindspore_impl import functional as F
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["VeRALinear", "build"]


class VeRALinear(Wrapper):
    """VeRA of a linear layer, in either weight layout."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.vera_dropout", edit.arguments.dropout)
        which = edit.arguments.projections
        self.vera_A, self.vera_B = _shared(which, edit.module.in_features, edit.module.out_features)

    def construct(self, x):
        y = self.base_layer(x)
        if not self.active:
            return y
        low = F.linear(self.dropout(x), self.vera_A) * self.vera_lambda_d  # (..., rank)
        return y + F.linear(low, self.vera_B) * self.vera_lambda_b


@lru_cache(maxsize=16)
def _shared(which: Projections, columns: int, rows: int) -> tuple[Tensor, Tensor]:
    a, b = projections(which)
    return Tensor(np.array(a[:, :columns])), Tensor(np.array(b[:rows]))


build = VeRALinear
