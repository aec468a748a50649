"""Mirrors pytorch_impl.layers.modules; differs: native cells that know their canonical path, by which the rewrite
engine finds them.
 Parameters are named canonically when they are made and cells never prefix them, so a cell's place in the tree does not
matter.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from mindspore_impl import functional as F
from mindspore_impl import fused

__all__ = ["Conv1D", "Embedding", "LayerNorm", "Linear"]

_matmul = ops.MatMul()
_bias_add = ops.BiasAdd()
_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


def parameter(name: str, *shape: int) -> Parameter:
    return Parameter(Tensor(np.zeros(shape, np.float32)), name=name, requires_grad=False)


class Linear(nn.Cell):
    """Weight ``(out, in)``; ``(..., in)`` to ``(..., out)``."""

    def __init__(self, path: str, in_features: int, out_features: int, bias: bool = True):
        super().__init__(auto_prefix=False)
        self.path = path
        self.weight = parameter(f"{path}.weight", out_features, in_features)
        self.bias = parameter(f"{path}.bias", out_features) if bias else None

    def construct(self, x):
        return F.linear(x, self.weight, self.bias)


class Conv1D(nn.Cell):
    """GPT-2's linear layer: weight ``(in, out)``; ``(tokens, in)`` to ``(tokens, out)``."""

    def __init__(self, path: str, in_features: int, out_features: int):
        super().__init__(auto_prefix=False)
        self.path = path
        self.weight = parameter(f"{path}.weight", in_features, out_features)
        self.bias = parameter(f"{path}.bias", out_features)

    def construct(self, x):
        return _bias_add(_matmul(x, self.weight), self.bias)


class Embedding(nn.Cell):
    """Weight ``(rows, width)``; ids ``(...)`` to ``(..., width)``. The row ``padding``, if any, gets no gradient from a
    lookup."""

    def __init__(self, path: str, rows: int, width: int, padding: int | None = None):
        super().__init__(auto_prefix=False)
        self.path, self.padding = path, padding
        self.weight = parameter(f"{path}.weight", rows, width)
        self.trained = False  # whether the weight gets a gradient, which graphs cannot ask the parameter itself

    def construct(self, ids):
        return F.embedding(ids, self.weight, self.padding if self.trained else None)


class LayerNorm(nn.Cell):
    """Layer norm over the last axis with weight and bias ``(width,)``."""

    def __init__(self, path: str, width: int, eps: float):
        super().__init__(auto_prefix=False)
        self.path, self.eps, self.plain = path, eps, ()
        self.weight = parameter(f"{path}.weight", width)
        self.bias = parameter(f"{path}.bias", width)
        self._forward = ops.LayerNorm(begin_norm_axis=1, begin_params_axis=1, epsilon=eps)

    def construct(self, x):
        if "fused" in self.plain:
            return F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.eps)
        return fused.layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.eps)

    def few(self, x):
        """The same of ``(rows, width)`` as one operator, where there is no gradient: of few rows, starting operators is
        what costs."""
        return self._forward(x, self.weight, self.bias)[0]


# What follows belongs to the native models and has no counterpart: on the PyTorch side it is inside `transformers`.


class RMSNorm(nn.Cell):
    """RMS norm over the last axis with weight ``(width,)`` (Zhang and Sennrich 2019)."""

    def __init__(self, path: str, width: int, eps: float):
        super().__init__(auto_prefix=False)
        self.path, self.eps, self.plain = path, eps, ()
        self.weight = parameter(f"{path}.weight", width)

    def construct(self, x):
        if "fused" in self.plain:
            return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)
        return fused.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Convolution(nn.Cell):
    """Of one dimension, as torch's ``Conv1d``: weight ``(out, in / groups, kernel)``; ``(batch, in, length)`` to ``(batch,
    out, length)``, with zeros beyond both ends."""

    def __init__(self, path: str, in_features: int, out_features: int, kernel: int, groups: int = 1):
        super().__init__(auto_prefix=False)
        self.path = path
        self.weight = parameter(f"{path}.weight", out_features, in_features // groups, kernel)
        self.bias = parameter(f"{path}.bias", out_features)
        self.function, self.stride, self.dilation, self.groups = F.conv1d, 1, 1, groups
        self.padding = (kernel - 1) // 2

    def construct(self, x):
        return convolved(self, "converted", self.weight, x)


def kind_of_convolution(base: nn.Cell) -> str:
    """For `convolved`: the class of a convolution, which a graph cannot ask."""
    if isinstance(base, nn.Conv1d):
        return "one dimension"
    return "two dimensions" if isinstance(base, nn.Conv2d) else "converted"


def convolved(base, kind, weight, x):
    """What the convolution ``base``, of this kind, computes of x with another weight."""
    if kind == "converted":  # torch's function, in the networks that the project converts
        return base.function(x, weight, base.bias, base.stride, base.padding, base.dilation, base.groups)
    if kind == "one dimension":
        x = ops.expand_dims(x, 2)
    y = base.conv2d(x, ops.expand_dims(weight, 2) if weight.ndim == 3 else weight)
    if base.has_bias:
        y = base.bias_add(y, base.bias)
    return ops.squeeze(y, 2) if kind == "one dimension" else y


def assign(parameter: Parameter, array: np.ndarray) -> None:
    """Write ``array`` into the parameter's own memory. Compiled graphs hold on to that memory and would not see
    `set_data`, which replaces it."""
    ops.assign(parameter, Tensor(np.array(array, ms.dtype_to_nptype(parameter.dtype))))


def past_of(batch):
    """The keys and values before the sequences of a batch; None where there are none."""
    return batch["past"] if "past" in batch else None  # noqa: SIM401  graphs have no get


def of_layer(past, index):
    """Those of one layer, ``(2, heads, tokens, width)``, of those of all in turn."""
    return None if past is None else past[2 * index : 2 * index + 2]


def padding_mask(attention_mask: Tensor, heads: int) -> Tensor:
    """``(batch, seq)`` of 1 and 0 to the additive float32 ``(batch, heads, 1, seq)``."""
    batch, length = attention_mask.shape
    mask = F.reshape((1.0 - attention_mask.astype(ms.float32)) * _NEGATIVE, (batch, 1, 1, length))
    return ops.stop_gradient(ops.tile(mask, (1, heads, 1, 1)))
