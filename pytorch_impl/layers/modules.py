"""The building blocks under one set of names: torch's own layers, and GPT-2's transposed linear layer from
`transformers`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MethodType

import torch
from torch import nn
from torch.nn import Embedding, LayerNorm, Linear
from transformers.pytorch_utils import Conv1D

__all__ = ["Conv1D", "Embedding", "LayerNorm", "Linear"]


# What follows has no counterpart: MindSpore's products are oneDNN's throughout, and its cells are made with `fused`.


@cache
def one_dnn() -> bool:
    """Whether float32 products go through oneDNN. torch gives them to MKL, which takes a processor that is not Intel's
    for an old one: on an AMD EPYC with AVX-512 its products took 2.2 times as long, for errors of the same size.
    """
    cpu = Path("/proc/cpuinfo")
    foreign = cpu.exists() and "GenuineIntel" not in cpu.read_text(encoding="utf-8", errors="replace")
    return (
        foreign
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, fast: bool = True) -> torch.Tensor:
    """x W^T + b for ``(tokens, in)`` and W ``(out, in)``, of any strides, by the faster library; autograd does not see
    it."""
    if fast and not torch.compiler.is_compiling() and x.dtype == torch.float32 and x.device.type == "cpu" and one_dnn():
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return torch.mm(x, weight.T) if bias is None else torch.addmm(bias, x, weight.T)


class _Frozen(torch.autograd.Function):
    """A linear layer whose weight gets no gradient, ``(..., in)`` to ``(tokens, out)``: a view, which the caller makes,
    may be changed in place only where it is no output of this."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(weight)
        ctx.shape = x.shape
        return product(x.reshape(-1, x.shape[-1]), weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        (weight,) = ctx.saved_tensors
        grad_x = product(g, weight.T).view(ctx.shape) if ctx.needs_input_grad[0] else None
        return grad_x, None, g.sum(0) if ctx.needs_input_grad[2] else None


def _forward(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    weight = module.weight.T if isinstance(module, Conv1D) else module.weight
    return _Frozen.apply(x, weight, module.bias).view(*x.shape[:-1], -1)


def hasten(model: nn.Module) -> None:
    """Compute the frozen linear layers of ``model`` with `product`."""
    for module in model.modules():
        if type(module) in (Linear, Conv1D) and not module.weight.requires_grad:
            module.forward = MethodType(_forward, module)
