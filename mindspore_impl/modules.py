"""Mirrors pytorch_impl.modules; differs: native cells that know their canonical path, by which the rewrite engine finds them.

Parameters are named canonically when they are made and cells never prefix them, so a cell's place in the tree does not matter.
"""

from __future__ import annotations

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from mindspore_impl import functional as F

__all__ = ["Conv1D", "Dropout", "Embedding", "LayerNorm", "Linear"]

_matmul = ops.MatMul()
_bias_add = ops.BiasAdd()


def _parameter(name: str, *shape: int) -> Parameter:
    return Parameter(Tensor(np.zeros(shape, np.float32)), name=name, requires_grad=False)


class Linear(nn.Cell):
    """Weight ``(out, in)``; ``(..., in)`` to ``(..., out)``."""

    def __init__(self, path: str, in_features: int, out_features: int, bias: bool = True):
        super().__init__(auto_prefix=False)
        self.path = path
        self.weight = _parameter(f"{path}.weight", out_features, in_features)
        self.bias = _parameter(f"{path}.bias", out_features) if bias else None

    def construct(self, x):
        return F.linear(x, self.weight, self.bias)


class Conv1D(nn.Cell):
    """GPT-2's linear layer: weight ``(in, out)``; ``(tokens, in)`` to ``(tokens, out)``."""

    def __init__(self, path: str, in_features: int, out_features: int):
        super().__init__(auto_prefix=False)
        self.path = path
        self.weight = _parameter(f"{path}.weight", in_features, out_features)
        self.bias = _parameter(f"{path}.bias", out_features)

    def construct(self, x):
        return _bias_add(_matmul(x, self.weight), self.bias)


class Embedding(nn.Cell):
    """Weight ``(rows, width)``; ids ``(...)`` to ``(..., width)``."""

    def __init__(self, path: str, rows: int, width: int):
        super().__init__(auto_prefix=False)
        self.path = path
        self.weight = _parameter(f"{path}.weight", rows, width)

    def construct(self, ids):
        return F.embedding(ids, self.weight)


class LayerNorm(nn.Cell):
    """Layer norm over the last axis with weight and bias ``(width,)``."""

    def __init__(self, path: str, width: int, eps: float):
        super().__init__(auto_prefix=False)
        self.path, self.eps = path, eps
        self.weight = _parameter(f"{path}.weight", width)
        self.bias = _parameter(f"{path}.bias", width)

    def construct(self, x):
        return F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.eps)


class Dropout(nn.Cell):
    """Dropout while training."""

    def __init__(self, p: float):
        super().__init__(auto_prefix=False)
        self.p = p

    def construct(self, x):
        return F.dropout(x, self.p, self.training)
