"""Mirrors pytorch_impl.layers.kronecker; differs: parameters are named canonically when they are made."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import Tensor, nn, ops

from common.edits import Edit
from common.models.layers.kronecker import right_first
from mindspore_impl import functional as F
from mindspore_impl.layers.modules import assign, parameter

__all__ = ["Kronecker", "build"]


class Kronecker(nn.Cell):
    """``(tokens, in)`` to ``(tokens, out)``, or ids ``(...)`` to ``(..., width)``."""

    def __init__(self, module: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(auto_prefix=False)
        self.edit, self.path, self.lookup = edit, edit.path, edit.module.kind.lookup
        self.right_first = right_first(edit.module, edit.arguments)
        self.bias = None
        for own in edit.parameters:
            setattr(self, own.leaf, parameter(own.name, *own.shape))
            if own.name in values:
                assign(getattr(self, own.leaf), values[own.name])

    def construct(self, x):
        if self.lookup:
            return self.rows(x)
        given = ops.reshape(x, (-1, self.left.shape[2], self.right.shape[2]))
        if self.right_first:
            return self.joined(x, ops.transpose(_products(given, self.right, self.left), (0, 2, 1)))
        return self.joined(x, _products(ops.transpose(given, (0, 2, 1)), self.left, self.right))

    def joined(self, x, blocks):
        """``(tokens, out / outputs, outputs)`` in the shape of x, with the bias."""
        y = ops.reshape(blocks, (*x.shape[:-1], self.left.shape[1] * self.right.shape[1]))
        return y if self.bias is None else y + self.bias

    def rows(self, ids):
        """The rows of the product that ids name."""
        count, terms, width = self.left.shape
        found = ops.reshape(F.embedding(ids, ops.reshape(self.left, (count, terms * width))), (-1, terms, width))
        outputs = self.right.shape[1]
        right = ops.transpose(ops.reshape(self.right, (terms, outputs)), (1, 0))
        y = F.linear(ops.transpose(found, (0, 2, 1)), right)
        return ops.reshape(y, (*ids.shape, width * outputs))


def _products(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    terms, m, q = first.shape
    n, p = second.shape[1:]
    low = ops.reshape(F.linear(x, ops.reshape(first, (terms * m, q))), (-1, p, terms, m))
    low = ops.reshape(ops.transpose(low, (0, 3, 2, 1)), (-1, m, terms * p))
    return F.linear(low, ops.reshape(ops.transpose(second, (1, 0, 2)), (n, terms * p)))


build = Kronecker
