"""Mirrors pytorch_impl.layers.sliced."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn

from common.edits import Edit
from mindspore_impl.layers.modules import Linear

__all__ = ["build"]


def build(base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]) -> nn.Cell:
    """A plain linear layer, to be filled by the caller."""
    sizes = edit.arguments
    return Linear(edit.path, sizes.in_features, sizes.out_features, bias=edit.module.bias)
