"""Mirrors pytorch_impl.layers.factored; differs: parameters are named canonically when they are made."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn

from common.edits import Edit
from mindspore_impl.layers.modules import Embedding, Linear, assign, parameter

__all__ = ["Factored", "build"]


class Factored(nn.Cell):
    """``(tokens, in)`` to ``(tokens, out)``, or ids ``(...)`` to ``(..., width)``."""

    def __init__(self, module: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(auto_prefix=False)
        before, rank, path = edit.module, edit.arguments.rank, edit.path
        self.edit, self.path = edit, path
        if before.kind.lookup:
            self.first = Embedding(f"{path}.first", before.in_features, rank)
        else:
            self.first = Linear(f"{path}.first", before.in_features, rank, bias=False)
        self.second = Linear(f"{path}.second", rank, before.out_features, bias=False)
        if before.bias:
            self.second.bias = parameter(f"{path}.bias", before.out_features)
        for own in self.get_parameters():
            if (value := values.get(own.name)) is not None:
                assign(own, value)

    def construct(self, x):
        return self.second(self.first(x))


build = Factored
