"""Mirrors pytorch_impl.fused; differs: both have a hand-written backward pass, which is faster than the one that autograd composes.

**Only for steps that are compiled together with their gradient, or not at all.** MindSpore 2.10 computes wrong gradients where a cell with a `bprop` is
called more than once in a compiled forward pass and the gradient is taken outside of it. `mindspore_impl.functional` has the same functions without.
"""

from __future__ import annotations

import math

from mindspore import Tensor, nn, ops

from common.api_mapping.binding import names

__all__ = ["gelu", "layer_norm"]

_ROWS = {name: row for name, row in names("torch.nn.functional").items() if name in __all__}
_mean = ops.ReduceMean(keep_dims=True)


class _Gelu(nn.Cell):
    """x Phi(x) with Phi kept for the backward pass: d/dx = Phi(x) + x phi(x)."""

    def construct(self, x):
        phi = ops.erf(x * math.sqrt(0.5)) * 0.5 + 0.5
        return x * phi, phi

    def bprop(self, x, out, dout):
        density = ops.exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
        return (dout[0] * (out[1] + x * density),)


class _Normalize(nn.Cell):
    """(x - mean) / sqrt(var + eps) over the last axis."""

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
    """GELU of float32; the tanh form through MindSpore's own fused operator, which is accurate where its tanh is not."""
    return ops.gelu(input, "tanh") if approximate == "tanh" else _gelu_erf(input)[0]


def layer_norm(input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Layer norm of float32 over the last axis."""
    return _Normalize(eps)(input)[0] * weight + bias
