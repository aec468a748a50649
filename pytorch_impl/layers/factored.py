"""A matrix as the product of two thin ones, in the place of a linear layer or an embedding.

    y = U (V x) + b,        V (rank, in), U (out, rank);        of an embedding y = U v,  v the row of V (rows, rank)

The bias belongs to the layer, under the name that it had in the module before; the second product adds it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from pytorch_impl.layers.modules import Embedding, Linear

__all__ = ["Factored", "build"]


class Factored(nn.Module):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``; see `common.models.layers.factored`.

    Args:
        module: what it replaces.
        values: of its parameters, by name; those that are missing are written later.
    """

    def __init__(self, module: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__()
        before, rank = edit.module, edit.arguments.rank
        self.edit = edit
        self.bias = nn.Parameter(torch.zeros(before.out_features)) if before.bias else None
        if before.kind.lookup:
            self.first = Embedding(before.in_features, rank)
        else:
            self.first = Linear(before.in_features, rank, bias=False)
        self.second = Linear(rank, before.out_features, bias=False)
        self.second.bias = self.bias  # the same parameter, listed once, as `bias` of this layer
        for name, parameter in self.named_parameters():
            if (value := values.get(f"{edit.path}.{name}")) is not None:
                parameter.data.copy_(torch.from_numpy(np.array(value, np.float32)))
        self.to(next(module.parameters()).device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two products, or a lookup and a product."""
        return self.second(self.first(x))


build = Factored
