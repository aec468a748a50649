"""A tensor train in the place of a linear layer or an embedding.

    y[o_1 ... o_d] = sum over i of G_1[i_1, o_1] ... G_d[i_d, o_d] x[i_1 ... i_d] + b

A linear layer multiplies x by core after core, without the matrix, where that takes fewer multiplications per input;
else it forms the matrix first. A row of an embedding is the product of the slices that the digits of its id name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.models.layers.tensor_train import contracted, cores
from pytorch_impl import functional as F

__all__ = ["TensorTrain", "build"]


class TensorTrain(nn.Module):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``; see `common.models.layers.tensor_train`.

    Args:
        module: what it replaces.
        values: of its parameters, by name; those that are missing are written later.
    """

    def __init__(self, module: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__()
        self.edit, self.lookup = edit, edit.module.kind.lookup
        self.sizes, self.out_features = cores(edit.arguments), edit.module.out_features
        self.contracted = contracted(edit.module, edit.arguments)
        self.bias = None
        for parameter in edit.parameters:
            value = values.get(parameter.name, np.zeros(parameter.shape))
            setattr(self, parameter.leaf, nn.Parameter(torch.from_numpy(np.array(value, np.float32))))
        self.to(next(module.parameters()).device)

    @property
    def cores(self) -> list[nn.Parameter]:
        """In order."""
        return [getattr(self, f"core{number}") for number in range(len(self.sizes))]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Core after core, or by the matrix, or a product of slices."""
        if self.lookup:
            return self.rows(x)
        if not self.contracted:
            return F.linear(x, self.weight(), self.bias)
        y = self.contract(x).reshape(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias

    def contract(self, x: torch.Tensor) -> torch.Tensor:
        """The product by core after core, ``(tokens * out, 1, 1)``."""
        done, left = x.numel() // x.shape[-1], x.shape[-1]
        y = x
        for core, (before, inputs, outputs, after) in zip(self.cores, self.sizes, strict=True):
            left //= inputs
            y = y.reshape(done, before * inputs, left).transpose(1, 2)
            y = F.linear(y, core.reshape(before * inputs, outputs * after).T)
            y = y.reshape(done, left, outputs, after).permute(0, 2, 3, 1)
            done *= outputs
        return y

    def weight(self) -> torch.Tensor:
        """The matrix ``(out, in)``."""
        rows, columns, product = 1, 1, None
        for core, (before, inputs, outputs, after) in zip(self.cores, self.sizes, strict=True):
            flat = core.reshape(before, inputs * outputs * after)
            product = flat if product is None else product.reshape(rows * columns, before) @ flat
            product = product.reshape(rows, columns, inputs, outputs, after).permute(0, 2, 1, 3, 4)
            rows, columns = rows * inputs, columns * outputs
        return product.reshape(rows, columns).T

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of the table that ids name."""
        flat = ids.reshape(-1)
        width, product = 1, None
        left = math.prod(self.edit.arguments.inputs)
        for core, (before, inputs, outputs, after) in zip(self.cores, self.sizes, strict=True):
            left //= inputs
            slices = F.embedding(flat // left % inputs, core.reshape(inputs, before * outputs * after))
            slices = slices.reshape(-1, before, outputs * after)
            product = slices if product is None else torch.matmul(product.reshape(-1, width, before), slices)
            width *= outputs
        return product.reshape(*ids.shape, self.out_features)


build = TensorTrain
