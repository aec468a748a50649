"""A linear layer of other sizes than the one in whose place it stands (`common.models.layers.sliced`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import nn

from common.edits import Edit
from pytorch_impl.layers.modules import Linear

__all__ = ["build"]


def build(base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]) -> nn.Module:
    """A plain linear layer, to be filled by the caller."""
    sizes = edit.arguments
    return Linear(sizes.in_features, sizes.out_features, bias=edit.module.bias)
