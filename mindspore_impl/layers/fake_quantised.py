"""Mirrors pytorch_impl.layers.fake_quantised; differs: the layer that is held is computed here with another weight, by
its kind, since a cell cannot be called with one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn, ops

from common.edits import Edit
from common.quantisation.fake import scale_axis
from common.quantisation.integers import largest
from mindspore_impl import functional as F
from mindspore_impl.layers.modules import convolved, kind_of_convolution
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["FakeQuantised", "build", "through"]

_matmul, _zeros = ops.MatMul(), ops.ZerosLike()


class _Through(nn.Cell):
    def construct(self, x, y):
        return y * 1.0

    def bprop(self, x, y, out, dout):
        return dout, _zeros(y)


def through(x, y):
    """``y``, with the gradient of ``x``."""
    return _Through()(x, y)


def called(base, kind, weight, x):
    """What ``base``, of this kind of module, computes of x with another weight."""
    if kind == "lookup":
        return F.embedding(x, weight, base.padding if base.trained else None)
    if kind == "transposed":
        y = _matmul(x, weight)
        return y if base.bias is None else y + base.bias
    if kind == "linear":
        return F.linear(x, weight, base.bias)
    return convolved(base, kind, weight, x)


def kind_of(edit: Edit, base: nn.Cell) -> str:
    """For `called`."""
    kind = edit.module.kind
    if kind.windowed:
        return kind_of_convolution(base)
    return next((name for name in ("lookup", "transposed") if getattr(kind, name)), "linear")


class FakeQuantised(Wrapper):
    """A linear layer, a convolution or an embedding, in the shapes of the layer that it holds."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        arguments = edit.arguments
        self.kind, self.observes, self.decay = kind_of(edit, base_layer), arguments.observes, arguments.decay
        self.bits, self.activation_bits = arguments.bits, arguments.activation_bits
        self.largest = float(largest(self.bits)) if self.bits is not None else 0.0
        self.most = float(largest(self.activation_bits)) if self.activation_bits is not None else 0.0
        shape = edit.module.kind.weight(edit.module)
        self.axes = tuple(axis for axis in range(len(shape)) if axis != scale_axis(edit.module))
        self.repeats = tuple(size if axis in self.axes else 1 for axis, size in enumerate(shape))
        self.maximum = ops.ReduceMax(keep_dims=True)

    def construct(self, x):
        if not self.active:
            return self.base_layer(x)
        if self.observes:
            if not self.training:
                x = self.move(x, ops.maximum(self.input_range, self._seen(x)))
            return self.base_layer(x)
        if self.activation_bits is not None:
            x = self.quantised_input(x)
        if self.bits is None:
            return self.base_layer(x)
        return called(self.base_layer, self.kind, self.quantised_weight(), x)

    def _seen(self, x):
        """The largest absolute value, ``(1,)``."""
        return ops.reshape(ops.stop_gradient(ops.abs(x)).max(), (1,))

    def quantised_input(self, x):
        """q(x) by the moving average."""
        found = ops.stop_gradient(self.input_range)
        if self.training:
            seen = self._seen(x)
            average = found * self.decay + seen * (1.0 - self.decay)
            found = ops.stop_gradient(ops.select(found > 0, average, seen))
            x = self.move(x, found)
        scale = found / self.most
        given = ops.stop_gradient(x)
        rounded = ops.round(given / ops.select(scale == 0, ops.ones_like(scale), scale))
        codes = ops.minimum(ops.maximum(rounded, -self.most), self.most)
        quantised = codes * scale + (given - given)
        none = (scale == 0).astype(given.dtype)
        return through(x, quantised * (1.0 - none) + given * none)

    def move(self, x, found):
        """Keep a new range; x is what it was."""
        return ops.depend(x, ops.assign(self.input_range, found))

    def quantised_weight(self):
        """q(W)."""
        weight = self.base_layer.weight
        given = ops.stop_gradient(weight)
        scale = self.maximum(ops.abs(given), self.axes) / self.largest
        scale = ops.tile(ops.select(scale == 0, ops.ones_like(scale), scale), self.repeats)
        codes = ops.minimum(ops.maximum(ops.round(given / scale), -self.largest), self.largest)
        return through(weight, codes * scale)


build = FakeQuantised
