"""Mirrors pytorch_impl.layers.quantisation_noise; differs: nothing broadcasts, see `mindspore_impl.fused`, and the key
is a parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from common.edits import Edit
from common.quantisation.pseudo import DRAWS, SPREAD, words
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.fake_quantised import called, kind_of, through
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["QuantisationNoise", "build"]

_LOG = math.log(2.0)
_product = ops.MatMul()


class QuantisationNoise(Wrapper):
    """A linear layer, a convolution or an embedding, in the shapes of the layer that it holds."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        shape = edit.module.kind.weight(edit.module)
        self.shape, self.table, self.numbers = shape, (shape[0], math.prod(shape[1:])), math.prod(shape)
        groups = edit.arguments.groups
        self.kind, self.size, self.least, self.range = (
            kind_of(edit, base_layer),
            groups.size,
            groups.least,
            groups.most - groups.least,
        )
        self.keyed = Dropout(f"{edit.path}.noise", 0.0)  # which knows the key of the step
        rows, columns = (
            words(edit.path, axis, count) for axis, count in zip(("rows", "columns"), self.table, strict=True)
        )
        self.noise_rows = Tensor(np.stack(rows)[:, :, None])
        self.noise_columns = Tensor(np.stack(columns)[:, None, :])
        self.one = Tensor(1, ms.int32)

    def construct(self, x):
        if not self.active:
            return self.base_layer(x)
        weight = self.noisy() if self.training else self.rounded()
        return called(self.base_layer, self.kind, weight, x)

    def noisy(self):
        """The weight with noise."""
        weight = self.base_layer.weight
        step = self.spread(self.span() / (ops.exp(self.bits() * _LOG) - 1.0))
        added = ops.reshape(step, self.table) * self.noise() * 0.5
        return weight + ops.reshape(added, self.shape)

    def noise(self):
        """n ``(rows, columns)`` of this step, float32."""
        total = None
        for draw in range(DRAWS):
            rows, columns = self._word(self.noise_rows[draw]), self._word(self.noise_columns[draw])
            one = _product(rows, columns).astype(ms.float32)
            total = one if total is None else total + one
        return ops.stop_gradient(total * SPREAD)

    def _word(self, numbers):
        """Counters under the key, odd."""
        return ops.bitwise_or(ops.bitwise_xor(numbers, self.keyed.key), self.one)

    def rounded(self):
        """The weight as integers of b bits give it, with the gradient of the weight."""
        weight = self.base_layer.weight
        given = ops.stop_gradient(weight)
        levels = ops.round(ops.exp(ops.round(ops.stop_gradient(self.bits())) * _LOG)) - 1.0
        step = ops.reshape(self.spread(self.span() / levels), self.shape)
        low = given.min()
        codes = ops.round((given - low) / ops.select(step == 0, ops.ones_like(step), step))
        return through(weight, low + codes * step)

    def bits(self):
        """b of every group."""
        return self.least + self.range * ops.sigmoid(self.bit_logits)

    def span(self):
        """r, a constant for the gradient."""
        weight = ops.stop_gradient(self.base_layer.weight)
        return weight.max() - weight.min()

    def spread(self, groups):
        """``(groups,)`` to one for each number of the weight, in their order."""
        return ops.reshape(ops.tile(ops.reshape(groups, (-1, 1)), (1, self.size)), (-1,))[: self.numbers]


build = QuantisationNoise
