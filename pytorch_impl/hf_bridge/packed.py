"""Linear layers as decoding computes them on a CPU: few rows times a matrix that is read from memory once.

For one row the product follows the rows of the transposed weight, which is how GPT-2's layers hold it; for some, oneDNN
reads a copy in the order of its kernel. An adapter is folded into a copy of the weight. Copies are kept as long as the
parameters that they were made of are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pytorch_impl.layers.modules import Conv1D, Linear, one_dnn, product
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["Layer", "layer"]

Layer = Callable[[torch.Tensor], torch.Tensor]
_PLAIN = (Linear, Conv1D)
_MOST = 512  #: rows up to which the copy is used: of more, oneDNN makes its own for less than a product costs


class _Product:
    """x W^T + b for ``(rows, in)``.

    Args:
        columns: W^T ``(in, out)``, of any strides.
    """

    def __init__(self, columns: torch.Tensor, bias: torch.Tensor | None):
        self._columns, self._bias = columns, bias
        self._contiguous = columns if columns.is_contiguous() else None
        self._packed: torch.Tensor | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.shape[0]
        if rows == 1:
            if self._contiguous is None:
                self._contiguous = self._columns.contiguous()
            return x @ self._contiguous if self._bias is None else torch.addmm(self._bias, x, self._contiguous)
        if rows > _MOST:
            return product(x, self._columns.T, self._bias)
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self._columns.T.contiguous(), rows)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")


def layer(module: nn.Module, kept: dict[Any, Any] | None) -> Layer:
    """What computes a linear ``module``, a plain one or one with an adapter: the module itself, where there is nothing
    faster.

    Args:
        kept: where copies are; None makes none.
    """
    if kept is None:
        return module
    while isinstance(module, Wrapper) and not module.active:
        module = module.base_layer
    base = module.base_layer if isinstance(module, Wrapper) else module
    parameters = tuple(module.parameters())
    suits = type(base) in _PLAIN and "products" not in base.plain and one_dnn()
    if not suits or any(p.dtype != torch.float32 or p.device.type != "cpu" for p in parameters):
        return module
    state = tuple((parameter.data_ptr(), parameter._version) for parameter in parameters)
    if kept.get(module, (None,))[0] != state:
        found = _product(module, base)
        if found is None:
            return module
        kept[module] = (state, found)
    return kept[module][1]


def _product(module: nn.Module, base: nn.Module) -> _Product | None:
    """None where the adapter cannot be folded in."""
    weight, bias = base.weight.detach(), None if base.bias is None else base.bias.detach()
    if isinstance(module, Wrapper):
        if not module.method.mergeable:
            return None
        arrays = {leaf: tensor.numpy() for leaf, tensor in (("weight", weight), ("bias", bias)) if tensor is not None}
        folded, _ = module.method.fold(module.edit, arrays, module.arrays())
        found = {leaf: torch.from_numpy(array) for leaf, array in folded.items()}
        weight, bias = found.get("weight", weight), found.get("bias", bias)
    return _Product(weight if isinstance(base, Conv1D) else weight.T, bias)
