"""The functions of `torch` and `torch.nn.functional` that the mapping has a row for, in one namespace;
`mindspore_impl.functional` offers the same ones."""

from __future__ import annotations

import torch

from common.api_mapping.names import named
from common.backend import IGNORE
from pytorch_impl.mapping import bound

_ROWS = named("torch", "torch.nn.functional")
globals().update(bound(_ROWS))

__all__ = [*_ROWS, "cross_entropy_sum"]


def cross_entropy_sum(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum over the scored labels of -log softmax(logits)[label], in float32 at least.

    Args:
        logits: ``(..., classes)``.
        labels: ``(...)`` integers; ``IGNORE`` (-100) is not scored.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORE, reduction="sum"
    )
