"""Mirrors pytorch_impl.functional; differs: torch's operators are written with MindSpore primitives that have CPU and Ascend kernels."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, nn, ops

from common.backend import IGNORE

__all__ = ["cross_entropy_sum", "dropout", "embedding", "gelu", "layer_norm", "linear", "relu", "softmax", "tanh"]

_matmul_t = ops.MatMul(transpose_b=True)
_bias_add = ops.BiasAdd()
_mean = ops.ReduceMean(keep_dims=True)


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum over the scored labels of -log softmax(logits)[label], in float32."""
    classes = logits.shape[-1]
    return ops.cross_entropy(ops.reshape(logits, (-1, classes)).astype(ms.float32), ops.reshape(labels, (-1,)), ignore_index=IGNORE, reduction="sum")


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero each element with probability ``p`` and scale the rest by 1 / (1 - p)."""
    return ops.dropout(input, p, True) if training and p > 0.0 else input


def embedding(input: Tensor, weight: Tensor) -> Tensor:
    """Rows of ``weight`` at ``input``."""
    return ops.gather(weight, input, 0)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input W^T + b for ``(..., in)`` and W ``(out, in)``, as one two-dimensional product."""
    shape = input.shape
    y = _matmul_t(ops.reshape(input, (-1, shape[-1])), weight)
    if bias is not None:
        y = _bias_add(y, bias)
    return y if len(shape) == 2 else ops.reshape(y, (*shape[:-1], weight.shape[0]))


def relu(input: Tensor) -> Tensor:
    """max(input, 0)."""
    return ops.relu(input)


def softmax(input: Tensor, dim: int = -1) -> Tensor:
    """Softmax over ``dim``."""
    return ops.softmax(input, dim)


def tanh(input: Tensor) -> Tensor:
    """tanh through float64: the float32 CPU kernel is off by up to 1e-4 for |input| > 3 and leaves [-1, 1]."""
    return ops.tanh(input.astype(ms.float64)).astype(input.dtype)


class _Gelu(nn.Cell):
    """x Phi(x) with Phi kept for the backward pass: d/dx = Phi(x) + x phi(x)."""

    def construct(self, x):
        phi = ops.erf(x * math.sqrt(0.5)) * 0.5 + 0.5
        return x * phi, phi

    def bprop(self, x, out, dout):
        density = ops.exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
        return (dout[0] * (out[1] + x * density),)


class _Normalize(nn.Cell):
    """(x - mean) / sqrt(var + eps) over the last axis, with its own backward pass."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps

    def construct(self, x):
        centred = x - _mean(x, -1)
        scale = ops.rsqrt(_mean(centred * centred, -1) + self.eps)
        return centred * scale, scale

    def bprop(self, x, out, dout):
        normal, scale = out
        g = dout[0]
        return ((g - normal * _mean(g * normal, -1) - _mean(g, -1)) * scale,)


_gelu_erf = _Gelu()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """GELU (Hendrycks and Gimpel 2016): exact, or the tanh form (through the fused operator, which is accurate where tanh is not)."""
    return ops.gelu(input, "tanh") if approximate == "tanh" else _gelu_erf(input)[0]


def layer_norm(input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Layer norm over the last axis (Ba et al. 2016)."""
    return _Normalize(eps)(input)[0] * weight + bias
