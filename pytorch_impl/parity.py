"""What a golden trace needs of this backend: single layers, forward passes with every hidden state, and the flags that
decide how numbers come about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

from common.api_mapping.arrays import draw, normal
from common.backend import Batch
from common.models.modules import EMBEDDING, LINEAR, TRANSPOSED_LINEAR
from common.parity.cases import at_tokens
from pytorch_impl import functional as F
from pytorch_impl import fused
from pytorch_impl.layers.loss import token_loss_sum
from pytorch_impl.layers.modules import Conv1D, Embedding, LayerNorm, Linear
from pytorch_impl.random_rounding import RandomRounding
from pytorch_impl.rewrite import layer_of, parameters

__all__ = ["flags", "forward", "layer", "random_rounding", "release", "trained"]


def flags() -> dict[str, Any]:
    """Settings that change results: determinism, reduced-precision products, threads."""
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
    }


def release() -> None:
    """Give back what is kept of networks that are gone: torch keeps nothing."""


def random_rounding(seed: int) -> AbstractContextManager:
    """Within it float64 rounds at random as float32 does; see `pytorch_impl.random_rounding`."""
    return RandomRounding(seed)


def forward(model: nn.Module, batch: Batch) -> dict[str, np.ndarray]:
    """Every hidden state ``hidden/NN`` ``(batch, seq, hidden)`` and the ``logits``, in evaluation mode; 0 at padding,
    which nobody reads: a token behind the end that attends to a window of padding alone has no value."""
    model.eval()
    inputs = {name: torch.from_numpy(array).to(next(model.parameters()).device).long() for name, array in batch.items()}
    with torch.no_grad():
        states, logits = model.hidden_states(inputs), model.logits(inputs)
    found = {f"hidden/{number:02d}": state.cpu().numpy() for number, state in enumerate(states)}
    return {name: at_tokens(array, batch) for name, array in (found | {"logits": logits.cpu().numpy()}).items()}


def trained(model: nn.Module, names: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Copies of the named parameters in the dtype they have."""
    found = parameters(model)
    return {name: found[name].detach().cpu().numpy().copy() for name in names}


def layer(
    kind: str, arrays: Mapping[str, np.ndarray], options: Mapping[str, Any], key: str, double: bool = False
) -> dict[str, np.ndarray]:
    """Run one layer of `common.parity.suites.layers`.

    Args:
        key: of the random cotangents.
        double: compute in float64.

    Returns:
        ``output``, and ``gradient/NAME`` of the sum of the output times the cotangents by every float input and every
        parameter.
    """
    tensors = {
        name: torch.from_numpy(np.array(array, np.float64 if double and array.dtype == np.float32 else array.dtype))
        for name, array in arrays.items()
    }
    for name, tensor in tensors.items():
        tensor.requires_grad_(tensor.is_floating_point() and name not in options.get("fixed", ()))
    function, held = _BUILDERS[kind](tensors, options)
    y = function()
    cotangents = torch.from_numpy(draw(normal(*y.shape), f"{key}|cotangent")).to(y.dtype)
    wanted = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad and name not in held} | held
    gradients = torch.autograd.grad(y, list(wanted.values()), cotangents)
    found = {f"gradient/{name}": gradient.numpy() for name, gradient in zip(wanted, gradients, strict=True)}
    return {"output": y.detach().numpy(), **found}


def _edit(
    tensors: dict[str, torch.Tensor], options: Mapping[str, Any]
) -> tuple[Callable[[], torch.Tensor], dict[str, torch.Tensor]]:
    edit = options["edit"]
    inputs, outputs = edit.module.in_features, edit.module.out_features
    base = {
        LINEAR: lambda: Linear(inputs, outputs),
        TRANSPOSED_LINEAR: lambda: Conv1D(outputs, inputs),
        EMBEDDING: lambda: Embedding(inputs, outputs),
    }[edit.module.kind]()
    module = layer_of(edit)(base, edit, {p.name: tensors[p.leaf].detach().numpy() for p in edit.parameters})
    module.to(tensors["weight"].dtype)
    held = {name: getattr(base, name) for name in ("weight", "bias") if name in tensors}
    held |= {p.leaf: getattr(module, p.leaf) for p in edit.parameters}
    for name, parameter in held.items():
        parameter.data = tensors[name].detach()
    return lambda: module(tensors["x"]), held


def _attention(
    tensors: dict[str, torch.Tensor], options: Mapping[str, Any]
) -> tuple[Callable[[], torch.Tensor], dict[str, torch.Tensor]]:
    batch, length = tensors["attention_mask"].shape
    heads = options["heads"]
    allowed = tensors["attention_mask"].bool()[:, None, None, :]
    if options["causal"]:
        allowed = allowed & torch.ones(length, length, dtype=torch.bool).tril()

    def attend() -> torch.Tensor:
        split = (tensors[name].view(batch, length, heads, -1).transpose(1, 2) for name in ("query", "key", "value"))
        return (
            nn.functional.scaled_dot_product_attention(*split, attn_mask=allowed)
            .transpose(1, 2)
            .reshape(batch * length, -1)
        )

    return attend, {}


def _layer_norm(
    tensors: dict[str, torch.Tensor], options: Mapping[str, Any]
) -> tuple[Callable[[], torch.Tensor], dict[str, torch.Tensor]]:
    module = LayerNorm(tensors["x"].shape[-1], options["eps"])
    module.weight.data, module.bias.data = tensors["weight"].detach(), tensors["bias"].detach()
    return lambda: module(tensors["x"]), {"weight": module.weight, "bias": module.bias}


def _embedding(
    tensors: dict[str, torch.Tensor], options: Mapping[str, Any]
) -> tuple[Callable[[], torch.Tensor], dict[str, torch.Tensor]]:
    return lambda: F.embedding(tensors["x"], tensors["weight"]), {}


def _gelu(
    tensors: dict[str, torch.Tensor], options: Mapping[str, Any]
) -> tuple[Callable[[], torch.Tensor], dict[str, torch.Tensor]]:
    return lambda: fused.gelu(tensors["x"], approximate=options["approximate"]), {}


def _loss(
    tensors: dict[str, torch.Tensor], options: Mapping[str, Any]
) -> tuple[Callable[[], torch.Tensor], dict[str, torch.Tensor]]:
    return lambda: F.cross_entropy_sum(tensors["x"], tensors["labels"].long()), {}


def _token_loss(
    tensors: dict[str, torch.Tensor], options: Mapping[str, Any]
) -> tuple[Callable[[], torch.Tensor], dict[str, torch.Tensor]]:
    return lambda: token_loss_sum(tensors["x"], tensors["weight"], tensors["labels"].long()), {}


_BUILDERS = {
    "token_loss": _token_loss,
    "edit": _edit,
    "attention": _attention,
    "layer_norm": _layer_norm,
    "embedding": _embedding,
    "gelu": _gelu,
    "loss": _loss,
}
