"""Mirrors pytorch_impl.layers.mixed_lora; differs: rows are constants of a graph, so that it is for PyNative mode."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from common.edits import Edit
from mindspore_impl import functional as F
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["MixedLoRA", "build"]


class MixedLoRA(Wrapper):
    """A frozen linear layer with the updates. Shapes: ``(batch * seq, in)`` to ``(batch * seq, out)``."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.shares = Tensor(edit.arguments.shares())

    def choose(self, rows: np.ndarray) -> None:
        """The adapter of each row of the next batch, ``(batch,)``."""
        self.rows = Tensor(rows, ms.int32)

    def construct(self, x):
        y = self.base_layer(x)
        if not self.active:
            return y
        low = F.linear(F.reshape(x, (self.rows.shape[0], -1, x.shape[-1])), self.mixed_A)
        low = low * ops.expand_dims(ops.gather(self.shares, self.rows, 0), 1)
        return y + F.reshape(F.linear(low, self.mixed_B), y.shape)


build = MixedLoRA
