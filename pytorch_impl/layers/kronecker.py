"""A sum of Kronecker products in the place of a linear layer or an embedding.

    y = sum over t of (A_t (x) B_t) x + b = vec(sum of A_t X B_t^T) + b,        X (in / inputs, inputs) made of x

The products A (x) B are never formed: x is multiplied by one of the two factors and then by the other, in the cheaper
order, each time by those of all terms at once. A row of an embedding is the sum of a_t (x) B_t with a_t a row of A_t.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.models.layers.kronecker import right_first
from pytorch_impl import functional as F

__all__ = ["Kronecker", "build"]


class Kronecker(nn.Module):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``; see `common.models.layers.kronecker`.

    Args:
        module: what it replaces.
        values: of its parameters, by name; those that are missing are written later.
    """

    def __init__(self, module: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__()
        self.edit, self.lookup = edit, edit.module.kind.lookup
        self.right_first = right_first(edit.module, edit.arguments)
        self.bias = None
        for parameter in edit.parameters:
            value = values.get(parameter.name, np.zeros(parameter.shape))
            setattr(self, parameter.leaf, nn.Parameter(torch.from_numpy(np.array(value, np.float32))))
        self.to(next(module.parameters()).device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two products with thin matrices, or a lookup and a product."""
        if self.lookup:
            return self.rows(x)
        given = x.reshape(-1, self.left.shape[2], self.right.shape[2])
        if self.right_first:
            return self.joined(x, _products(given, self.right, self.left).transpose(1, 2))
        return self.joined(x, _products(given.transpose(1, 2), self.left, self.right))

    def joined(self, x: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
        """``(tokens, out / outputs, outputs)`` in the shape of x, with the bias."""
        y = blocks.reshape(*x.shape[:-1], self.left.shape[1] * self.right.shape[1])
        return y if self.bias is None else y + self.bias

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of the product that ids name."""
        count, terms, width = self.left.shape
        found = F.embedding(ids, self.left.reshape(count, terms * width)).reshape(-1, terms, width)
        outputs = self.right.shape[1]
        y = torch.matmul(
            found.transpose(1, 2), self.right.reshape(terms, outputs)
        )  # (tokens, width / outputs, outputs)
        return y.reshape(*ids.shape, width * outputs)


def _products(x: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """sum over t of second_t x first_t^T, transposed: x ``(tokens, p, q)``, first ``(terms, m, q)``, second ``(terms,
    n, p)``, result ``(tokens, m, n)``."""
    terms, m, q = first.shape
    n, p = second.shape[1:]
    low = F.linear(x, first.reshape(terms * m, q)).reshape(-1, p, terms, m)
    low = low.permute(0, 3, 2, 1).reshape(-1, m, terms * p)
    return F.linear(low, second.permute(1, 0, 2).reshape(n, terms * p))


build = Kronecker
