"""Mirrors pytorch_impl.layers.normal_float; differs: nothing broadcasts, see `mindspore_impl.fused`."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from common.edits import Edit
from common.models.layers.normal_float import shape_of
from common.quantisation.normal_floats import BLOCK, NESTED, QUANTILES, dynamic_map
from mindspore_impl.fused import spread
from mindspore_impl.layers.frozen import Frozen

__all__ = ["NormalFloat", "build"]


class NormalFloat(Frozen):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``."""

    def __init__(self, module: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(module, edit, values)
        self.shape, self.double = shape_of(edit.module), edit.arguments.double
        book = np.stack([np.repeat(QUANTILES, len(QUANTILES)), np.tile(QUANTILES, len(QUANTILES))], 1)  # of a byte
        self.book, self.map = Tensor(book), Tensor(dynamic_map())
        blocks = self.absmax.shape[0]
        self.above = Tensor(np.arange(blocks, dtype=np.int32) // NESTED)  # which of `absmax_scale` is a block's
        self.padding = Tensor(np.zeros(blocks * BLOCK - self.shape[0] * self.shape[1], np.float32))

    def scales(self):
        """Of every block, ``(blocks,)``."""
        if not self.double:
            return self.absmax
        above = ops.gather(self.absmax_scale, self.above, 0)
        offset = ops.tile(self.offset, (self.above.shape[0],))
        return ops.gather(self.map, self.absmax.astype(ms.int32), 0) * above + offset

    def weight(self, after):
        """W in the layout of `common.models.layers.normal_float.shape_of`."""
        rows, columns = self.shape
        codes = ops.depend(self.codes, after).astype(ms.int32)
        numbers = ops.reshape(ops.gather(self.book, codes, 0), (-1,))[: rows * columns]
        if self.padding.shape[0] > 0:
            numbers = ops.concat((numbers, self.padding))
        scales = spread(ops.reshape(self.scales(), (-1, 1)), BLOCK)
        found = ops.reshape(numbers, (-1, BLOCK)) * scales
        return ops.reshape(ops.reshape(found, (-1,))[: rows * columns], (rows, columns))

    def looked_up(self, ids):
        """The rows of ``ids``, of whole blocks."""
        rows, width = self.shape
        flat = ops.reshape(ids, (-1,))
        codes = ops.gather(ops.reshape(self.codes, (rows, width // 2)), flat, 0).astype(ms.int32)
        scales = ops.gather(ops.reshape(self.scales(), (rows, width // BLOCK)), flat, 0)
        numbers = ops.reshape(ops.gather(self.book, codes, 0), (-1, BLOCK))
        found = numbers * spread(ops.reshape(scales, (-1, 1)), BLOCK)
        return ops.reshape(found, (*ids.shape, width))


build = NormalFloat
