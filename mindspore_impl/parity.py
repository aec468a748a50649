"""Mirrors pytorch_impl.parity; differs: gradients come from a transformed function, and float64 is left to the
counterpart."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.api_mapping.arrays import draw, normal
from common.backend import Batch
from common.errors import InputError
from common.models.modules import EMBEDDING, LINEAR, TRANSPOSED_LINEAR
from common.parity.cases import UnsupportedError, at_tokens
from mindspore_impl import functional as F
from mindspore_impl import fused
from mindspore_impl.layers.attention import attention, join_heads, split_heads
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.loss import token_loss_sum
from mindspore_impl.layers.modules import Conv1D, Embedding, LayerNorm, Linear, padding_mask
from mindspore_impl.rewrite import layer_of, read_parameters

__all__ = ["flags", "forward", "layer", "random_rounding", "release", "trained"]


def flags() -> dict[str, Any]:
    """Settings that change results."""
    return {
        "deterministic": ms.get_context("deterministic"),
        "mode": "graph" if ms.get_context("mode") == ms.GRAPH_MODE else "pynative",
    }


def random_rounding(seed: int) -> AbstractContextManager:
    """Raises UnsupportedError: rounding at random is a reference's."""
    raise UnsupportedError("a float64 reference is computed in PyTorch")


def release() -> None:
    """Give back what is kept of networks that are gone: every compiled graph, which a function that is called again
    compiles again. Otherwise some hundred small networks take more than 16 GB."""
    gc.collect()
    ms.ms_memory_recycle()


def forward(model: nn.Cell, batch: Batch) -> dict[str, np.ndarray]:
    """Every hidden state ``hidden/NN`` and the ``logits``, in evaluation mode, in PyNative."""
    model.set_train(False)
    inputs = {name: Tensor(array) for name, array in batch.items()}
    states, logits = model.hidden_states(inputs), model.logits(inputs)
    found = {f"hidden/{number:02d}": state.asnumpy() for number, state in enumerate(states)}
    return {name: at_tokens(array, batch) for name, array in (found | {"logits": logits.asnumpy()}).items()}


def trained(model: nn.Cell, names: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Copies of the named parameters in the dtype they have."""
    return read_parameters(model, names)


def layer(
    kind: str, arrays: Mapping[str, np.ndarray], options: Mapping[str, Any], key: str, double: bool = False
) -> dict[str, np.ndarray]:
    """Run one layer of `common.parity.suites.layers`."""
    if double:
        raise InputError(
            "The MindSpore backend computes in float32; a float64 reference is computed with --backend pytorch."
        )
    tensors = {name: Tensor(np.array(array)) for name, array in arrays.items()}
    function, parameters = _BUILDERS[kind](tensors, options)
    inputs = [
        name
        for name, tensor in tensors.items()
        if tensor.dtype == ms.float32 and name not in (*parameters, *options.get("fixed", ()))
    ]
    shape = function(*(tensors[name] for name in inputs)).shape
    cotangents = Tensor(draw(normal(*shape), f"{key}|cotangent"))

    def product(*given):
        y = function(*given)
        return (y * cotangents).sum(), y

    weights = ms.ParameterTuple(parameters.values()) if parameters else None
    positions = tuple(range(len(inputs))) or None
    (_, y), found = ms.value_and_grad(product, positions, weights, has_aux=True)(*(tensors[name] for name in inputs))
    by_input, by_weight = found if positions and weights else ((found, ()) if positions else ((), found))
    by_input = by_input if isinstance(by_input, tuple) else (by_input,)
    gradients = zip([*inputs, *parameters], [*by_input, *by_weight], strict=True)
    return {"output": y.asnumpy(), **{f"gradient/{name}": gradient.asnumpy() for name, gradient in gradients}}


def _parameter(name: str, tensor: Tensor) -> Parameter:
    return Parameter(tensor.copy(), name=name)


def _edit(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> tuple[Callable[..., Tensor], dict[str, Parameter]]:
    edit = options["edit"]
    kinds = {LINEAR: Linear, TRANSPOSED_LINEAR: Conv1D, EMBEDDING: Embedding}
    base = kinds[edit.module.kind](edit.path, edit.module.in_features, edit.module.out_features)
    cell = layer_of(edit)(base, edit, {p.name: tensors[p.leaf].asnumpy() for p in edit.parameters})
    parameters = {name: getattr(base, name) for name in ("weight", "bias") if name in tensors}
    for name, parameter in parameters.items():
        ops.assign(parameter, tensors[name])
        parameter.requires_grad = True
    parameters |= {p.leaf: getattr(cell, p.leaf) for p in edit.parameters}
    return (lambda: cell(tensors["x"])) if edit.module.kind.lookup else (lambda x: cell(x)), parameters


def _attention(
    tensors: dict[str, Tensor], options: Mapping[str, Any]
) -> tuple[Callable[..., Tensor], dict[str, Parameter]]:
    (batch, length), heads = tensors["attention_mask"].shape, options["heads"]
    mask = ops.tile(padding_mask(tensors["attention_mask"], heads), (1, 1, length, 1))
    if options["causal"]:
        mask = F.minimum(mask, Tensor(np.triu(np.full((length, length), -1e30, np.float32), 1)))
    dropout = Dropout("none", 0.0)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (
            split_heads(query, batch, heads),
            split_heads(key, batch, heads),
            split_heads(value, batch, heads),
        )
        return join_heads(attention(query, key, value, mask, query.shape[-1] ** -0.5, dropout))

    return attend, {}


def _layer_norm(
    tensors: dict[str, Tensor], options: Mapping[str, Any]
) -> tuple[Callable[..., Tensor], dict[str, Parameter]]:
    cell = LayerNorm("layer", tensors["x"].shape[-1], options["eps"])
    cell.weight, cell.bias = (_parameter(f"layer.{name}", tensors[name]) for name in ("weight", "bias"))
    return lambda x: cell(x), {"weight": cell.weight, "bias": cell.bias}


def _embedding(
    tensors: dict[str, Tensor], options: Mapping[str, Any]
) -> tuple[Callable[..., Tensor], dict[str, Parameter]]:
    return lambda weight: F.embedding(tensors["x"], weight), {}


def _gelu(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> tuple[Callable[..., Tensor], dict[str, Parameter]]:
    return lambda x: fused.gelu(x, approximate=options["approximate"]), {}


def _loss(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> tuple[Callable[..., Tensor], dict[str, Parameter]]:
    return lambda x: F.cross_entropy_sum(x, tensors["labels"]), {}


def _token_loss(
    tensors: dict[str, Tensor], options: Mapping[str, Any]
) -> tuple[Callable[..., Tensor], dict[str, Parameter]]:
    weight = Parameter(tensors["weight"], name="weight", requires_grad=False)
    return lambda x: token_loss_sum(x, weight, tensors["labels"]), {}


_BUILDERS = {
    "token_loss": _token_loss,
    "edit": _edit,
    "attention": _attention,
    "layer_norm": _layer_norm,
    "embedding": _embedding,
    "gelu": _gelu,
    "loss": _loss,
}
