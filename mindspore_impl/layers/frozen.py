"""Mirrors pytorch_impl.layers.frozen; differs: parameters are named canonically, and the weight of the backward pass
hangs on its gradient, so that the compiler does not keep the one of the forward pass for it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.edits import Edit
from common.models.layers import LAYERS

__all__ = ["Frozen"]

_product, _transposed, _bias_add = ops.MatMul(), ops.MatMul(transpose_b=True), ops.BiasAdd()


class _Product(nn.Cell):
    """``(tokens, in)`` to ``(tokens, out)`` without a bias."""

    def __init__(self, layer: Frozen):
        super().__init__(auto_prefix=False)
        self.layer = layer

    def construct(self, rows):
        return self.layer.multiplied(rows)

    def bprop(self, rows, out, dout):
        return (_product(dout, self.layer.weight(dout)),)


class Frozen(nn.Cell):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``."""

    def __init__(self, module: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(auto_prefix=False)
        self.edit, self.path, self.lookup = edit, edit.path, edit.module.kind.lookup
        integers = LAYERS.get(edit.layer).module(edit.module, edit.arguments).integers()
        self.bias = None
        for own in edit.parameters:
            dtype = integers.get(own.name, np.dtype(np.float32))
            array = np.array(values.get(own.name, np.zeros(own.shape)), dtype)
            setattr(self, own.leaf, Parameter(Tensor(array), name=own.name, requires_grad=False))

    def construct(self, x):
        if self.lookup:
            return self.looked_up(x)
        y = _Product(self)(ops.reshape(x, (-1, x.shape[-1])))
        y = y if self.bias is None else _bias_add(y, self.bias)
        return ops.reshape(y, (*x.shape[:-1], y.shape[-1]))

    def multiplied(self, rows):
        """The product of ``(tokens, in)``."""
        return _transposed(rows, self.weight(rows))

    def weight(self, after):
        """W ``(out, in)``; of a table ``(rows, width)``. Made once ``after`` is there."""
        raise NotImplementedError

    def looked_up(self, ids):
        """The rows of ``ids``."""
        raise NotImplementedError
