"""Mirrors pytorch_impl.layers.scaled_integers; differs: nothing broadcasts, see `mindspore_impl.fused`, and two
integers of a byte are taken apart in float32, which has the operators."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from common.edits import Edit
from common.quantisation.integers import columns_exact, largest, packed
from mindspore_impl.fused import spread
from mindspore_impl.layers.frozen import Frozen

__all__ = ["ScaledIntegers", "build"]

_transposed, _largest, _tile = ops.MatMul(transpose_b=True), ops.ReduceMax(keep_dims=True), ops.Tile()


class ScaledIntegers(Frozen):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``."""

    def __init__(self, module: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(module, edit, values)
        before, arguments = edit.module, edit.arguments
        self.columns = before.out_features if before.kind.lookup else before.in_features
        self.packed, self.activations = packed(arguments.bits), arguments.activations
        self.largest = float(largest(arguments.activation_bits))
        self.exact = columns_exact(arguments.activation_bits, arguments.bits)

    def integers(self, stored):
        """Stored rows ``(rows, ...)`` as integers ``(rows, columns)``, float32."""
        found = stored.astype(ms.float32)
        if not self.packed:
            return found
        high = ops.floor(found / 16.0)
        pairs = ops.stack((high, found - high * 16.0), -1)
        return ops.reshape(pairs, (found.shape[0], -1))[:, : self.columns] - 8.0

    def weight(self, after):
        """s Q."""
        found = self.integers(ops.depend(self.codes, after))
        return found * spread(ops.reshape(self.scale, (-1, 1)), self.columns)

    def looked_up(self, ids):
        """The rows of ``ids``, times their scales."""
        flat = ops.reshape(ids, (-1,))
        scale = ops.reshape(ops.gather(self.scale, flat, 0), (-1, 1))
        found = self.integers(ops.gather(self.codes, flat, 0)) * spread(scale, self.columns)
        return ops.reshape(found, (*ids.shape, self.columns))

    def multiplied(self, rows):
        """With ``(tokens, in)`` quantised where that is asked for."""
        if self.activations == "none":
            return _transposed(rows, self.weight(rows))
        codes, scale = self.quantised(rows)
        sums = self.sums(codes)
        outputs = sums.shape[1]
        return sums * spread(scale, outputs) * _tile(ops.reshape(self.scale, (1, -1)), (sums.shape[0], 1))

    def quantised(self, rows):
        """Integers of ``(tokens, in)``, float32, and the scale ``(tokens, 1)``. NaN and infinity become NaN."""
        width = rows.shape[1]
        if self.activations == "tensor":
            scale = _tile(ops.reshape(self.input_scale, (1, 1)), (rows.shape[0], 1))
            codes = ops.round(rows / spread(scale, width))
            codes = ops.minimum(ops.maximum(codes, -self.largest), self.largest)
            return codes + (rows - rows), scale
        scale = _largest(ops.abs(rows), 1) / self.largest
        scale = ops.select(scale == 0, ops.ones_like(scale), scale)
        return ops.round(rows / spread(scale, width)), scale

    def sums(self, codes):
        """Q x_q, ``(tokens, out)``."""
        weight = self.integers(self.codes)
        if self.columns <= self.exact:
            return _transposed(codes, weight)
        total, whole = None, None
        for start in range(0, self.columns, self.exact):
            part = _transposed(codes[:, start : start + self.exact], weight[:, start : start + self.exact])
            integers, rest = part.astype(ms.int32), part - part  # NaN, which no integer holds
            total = integers if total is None else total + integers
            whole = rest if whole is None else whole + rest
        return total.astype(ms.float32) + whole


build = ScaledIntegers
