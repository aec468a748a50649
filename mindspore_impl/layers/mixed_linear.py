"""Mirrors pytorch_impl.layers.mixed_linear; differs: rows are constants of a graph, so that it is for PyNative mode."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from mindspore_impl import functional as F
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["MixedLinear", "build"]

_product = ops.BatchMatMul(transpose_b=True)


class MixedLinear(Wrapper):
    """Shapes: ``(batch * seq, in)`` to ``(batch * seq, out)``."""

    def choose(self, rows: np.ndarray) -> None:
        """The adapter of each row of the next batch, ``(batch,)``."""
        self.rows = Tensor(rows, ms.int32)

    def construct(self, x):
        if not self.active:
            return self.base_layer(x)
        weight = ops.gather(self.mixed_weight, self.rows, 0)  # (batch, out, in)
        y = _product(F.reshape(x, (self.rows.shape[0], -1, x.shape[-1])), weight)
        if self.edit.module.bias:
            y = y + ops.expand_dims(ops.gather(self.mixed_bias, self.rows, 0), 1)
        return F.reshape(y, (*x.shape[:-1], -1))


build = MixedLinear
