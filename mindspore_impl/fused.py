"""Mirrors pytorch_impl.fused; differs: both have a hand-written backward pass, which is faster than the one that
autograd composes.
 **Only for steps that are compiled together with their gradient, or not at all.** MindSpore 2.10 computes wrong
gradients where a cell with a `bprop` is called more than once in a compiled forward pass and the gradient is taken
outside of it. `mindspore_impl.functional` has the same functions without.
 Nothing here broadcasts. A CPU kernel of a graph keeps 16 bytes for each element of a broadcast's result as long as the
graph lives, and a transpose 8; both are slower (docs/performance.md, Kernels) than a copy to the full shape (`spread`)
or a gather of rows (`attention.split_heads`).
"""

from __future__ import annotations

import math

from mindspore import Tensor, nn, ops

from common.api_mapping.names import named

__all__ = ["gelu", "layer_norm", "rms_norm"]

_ROWS = {name: row for name, row in named("torch.nn.functional").items() if name in __all__}
_EPSILON = 2.0**-23  #: of float32, which torch takes where none is given
_mean, _bias_add, _tile = ops.ReduceMean(keep_dims=True), ops.BiasAdd(), ops.Tile()


def spread(column: Tensor, width: int) -> Tensor:
    """``(rows, 1)`` to ``(rows, width)``. It has no counterpart: torch's kernels broadcast."""
    return _tile(column, (1, width))


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
        width = x.shape[-1]
        centred = x - spread(_mean(x, -1), width)
        scale = ops.rsqrt(_mean(centred * centred, -1) + self.eps)
        return centred * spread(scale, width), scale

    def bprop(self, x, out, dout):
        normal, scale = out
        g, width = dout[0], x.shape[-1]
        return (
            (g - normal * spread(_mean(g * normal, -1), width) - spread(_mean(g, -1), width)) * spread(scale, width),
        )


class _Root(nn.Cell):
    """x / sqrt(mean(x^2) + eps) over the last axis."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps

    def construct(self, x):
        scale = ops.rsqrt(_mean(x * x, -1) + self.eps)
        return x * spread(scale, x.shape[-1]), scale

    def bprop(self, x, out, dout):
        normal, scale = out
        g, width = dout[0], x.shape[-1]
        return ((g - normal * spread(_mean(g * normal, -1), width)) * spread(scale, width),)


class _Gate(nn.Cell):
    """silu(a) b; the sigmoid is kept."""

    def construct(self, a, b):
        share = ops.sigmoid(a)
        return a * share * b, share

    def bprop(self, a, b, out, dout):
        share, g = out[1], dout[0]
        return g * b * share * (a * (1.0 - share) + 1.0), g * a * share


_gelu_erf, _gate = _Gelu(), _Gate()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """GELU of float32; the tanh form through MindSpore's own fused operator, which is accurate where its tanh is
    not."""
    return ops.gelu(input, "tanh") if approximate == "tanh" else _gelu_erf(input)[0]


def layer_norm(
    input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor, bias: Tensor, eps: float = 1e-5
) -> Tensor:
    """Layer norm of float32 over the last axis."""
    rows = ops.reshape(input, (-1, input.shape[-1]))
    scaled = _Normalize(eps)(rows)[0] * _tile(ops.reshape(weight, (1, -1)), (rows.shape[0], 1))
    return ops.reshape(_bias_add(scaled, bias), input.shape)


def rms_norm(
    input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """RMS norm of float32 over the last axis."""
    rows = ops.reshape(input, (-1, input.shape[-1]))
    scaled = _Root(_EPSILON if eps is None else eps)(rows)[0]
    if weight is not None:
        scaled = scaled * _tile(ops.reshape(weight, (1, -1)), (rows.shape[0], 1))
    return ops.reshape(scaled, input.shape)


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) up (Shazeer 2020). It has no counterpart: on the PyTorch side it is inside `transformers`."""
    return _gate(gate, up)[0]
