"""Limits for gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from mindspore import ops

from mindspore_impl.torch_api.autograd import no_grad
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]


def _gradients(parameters: Any) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [parameter.grad for parameter in given if parameter.grad is not None]


def get_total_norm(
    tensors: Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all tensors as one vector."""
    from mindspore_impl.torch_api import linalg, stack, tensor

    given = list(tensors)
    if not given:
        return tensor(0.0)
    with no_grad():
        norms = stack([linalg.vector_norm(value.float(), norm_type) for value in given])
        total = norms.max() if norm_type == math.inf else linalg.vector_norm(norms, norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(f"The total norm of order {norm_type} for gradients is non-finite, so it cannot be clipped.")
    return total


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale gradients so that their norm is at most ``max_norm``; the norm before."""
    gradients = _gradients(parameters)
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    with no_grad():
        share = (max_norm / (total + 1e-6)).clamp(max=1.0).raw
        for gradient in gradients:
            gradient.write(gradient.raw * share.astype(gradient.raw.dtype))
    return total


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value]."""
    with no_grad():
        for gradient in _gradients(parameters):
            gradient.write(ops.clamp(gradient.raw, -float(clip_value), float(clip_value)))
