"""The operators the models and layers are made of, by torch's names. `mindspore_impl.functional` offers the same with the same semantics."""

from torch import tanh
from torch.nn.functional import dropout, embedding, gelu, layer_norm, linear, relu, softmax

__all__ = ["cross_entropy_sum", "dropout", "embedding", "gelu", "layer_norm", "linear", "relu", "softmax", "tanh"]

import torch
import torch.nn.functional

from common.backend import IGNORE


def cross_entropy_sum(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum over the scored labels of -log softmax(logits)[label], in float32.

    Args:
        logits: ``(..., classes)``.
        labels: ``(...)`` integers; ``IGNORE`` (-100) is not scored.
    """
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, -2), labels.flatten(), ignore_index=IGNORE, reduction="sum")
