"""Clipping of gradients that come with the names of their parameters: ``((name, gradient), ...)``, as
``ms.value_and_grad(..., return_ids=True)`` returns them."""

from __future__ import annotations

from typing import Any

from mindspore import ops

__all__ = ["clip_grad_norm", "clip_grad_value"]


def clip_grad_norm(gradients: Any, max_norm: float, norm_type: float = 2.0) -> Any:
    """The gradients, scaled so that their norm is at most ``max_norm``; what `torch.nn.utils.clip_grad_norm_` does.

    Args:
        gradients: pairs of a name and a gradient.
        norm_type: of the norm of all gradients together; infinity for the largest magnitude.
    """
    pairs = _pairs(gradients)
    if norm_type == float("inf"):
        total = ops.stack([ops.abs(gradient).max() for _, gradient in pairs]).max()
    else:
        powers = [(ops.abs(gradient.astype("float32")) ** norm_type).sum() for _, gradient in pairs]
        total = ops.stack(powers).sum() ** (1.0 / norm_type)
    scale = ops.minimum(max_norm / (total + 1e-6), 1.0)
    return tuple([(name, gradient * scale.astype(gradient.dtype)) for name, gradient in pairs])


def clip_grad_value(gradients: Any, clip_value: float) -> Any:
    """The gradients with every element in [-clip_value, clip_value]; what `torch.nn.utils.clip_grad_value_` does."""
    return tuple([(name, ops.clip(gradient, -clip_value, clip_value)) for name, gradient in _pairs(gradients)])


def _pairs(gradients: Any) -> Any:
    """Of one parameter there is a pair instead of a tuple of pairs."""
    return (gradients,) if len(gradients) == 2 and isinstance(gradients[0], str) else gradients
