"""Mirrors pytorch_impl.layers.tensor_train; differs: parameters are named canonically when they are made."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from common.edits import Edit
from common.models.layers.tensor_train import contracted, cores
from mindspore_impl import functional as F
from mindspore_impl.layers.modules import assign, parameter

__all__ = ["TensorTrain", "build"]


class TensorTrain(nn.Cell):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``."""

    def __init__(self, module: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(auto_prefix=False)
        self.edit, self.path, self.lookup = edit, edit.path, edit.module.kind.lookup
        self.sizes, self.out_features = tuple(cores(edit.arguments)), edit.module.out_features
        self.inputs = edit.arguments.inputs
        self.contracted = contracted(edit.module, edit.arguments)
        made = [parameter(own.name, *own.shape) for own in edit.parameters]
        for own in made:
            if own.name in values:
                assign(own, values[own.name])
        self.cores = ms.ParameterTuple(made[: len(self.sizes)])
        self.bias = made[-1] if edit.module.bias else None

    def construct(self, x):
        if self.lookup:
            return self.rows(x)
        if not self.contracted:
            return F.linear(x, self.weight(), self.bias)
        y = ops.reshape(self.contract(x), (*x.shape[:-1], self.out_features))
        return y if self.bias is None else y + self.bias

    def contract(self, x):
        """The product by core after core, ``(tokens * out, 1, 1)``."""
        left = x.shape[-1]
        y = ops.reshape(x, (-1, left))
        done = y.shape[0]
        for number in range(len(self.sizes)):
            before, inputs, outputs, after = self.sizes[number]
            left = left // inputs
            y = ops.transpose(ops.reshape(y, (done, before * inputs, left)), (0, 2, 1))
            core = ops.reshape(self.cores[number], (before * inputs, outputs * after))
            y = F.linear(y, ops.transpose(core, (1, 0)))
            y = ops.transpose(ops.reshape(y, (done, left, outputs, after)), (0, 2, 3, 1))
            done = done * outputs
        return y

    def weight(self):
        """The matrix ``(out, in)``."""
        rows, columns, product = 1, 1, None
        for number in range(len(self.sizes)):
            before, inputs, outputs, after = self.sizes[number]
            flat = ops.reshape(self.cores[number], (before, inputs * outputs * after))
            product = flat if product is None else ops.matmul(ops.reshape(product, (rows * columns, before)), flat)
            product = ops.transpose(ops.reshape(product, (rows, columns, inputs, outputs, after)), (0, 2, 1, 3, 4))
            rows, columns = rows * inputs, columns * outputs
        return ops.transpose(ops.reshape(product, (rows, columns)), (1, 0))

    def rows(self, ids):
        """The rows of the table that ids name."""
        flat = ops.reshape(ids, (-1,))
        width, product, left = 1, None, 1
        for inputs in self.inputs:
            left = left * inputs
        for number in range(len(self.sizes)):
            before, inputs, outputs, after = self.sizes[number]
            left = left // inputs
            slices = F.embedding(
                flat // left % inputs, ops.reshape(self.cores[number], (inputs, before * outputs * after))
            )
            slices = ops.reshape(slices, (-1, before, outputs * after))
            product = slices if product is None else ops.matmul(ops.reshape(product, (-1, width, before)), slices)
            width = width * outputs
        return ops.reshape(product, (*ids.shape, self.out_features))


build = TensorTrain
