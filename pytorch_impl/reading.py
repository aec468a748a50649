"""What a network that reads documents attends to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.errors import InputError
from pytorch_impl.network import family

__all__ = ["document_attentions"]


def document_attentions(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The attention to words ``(batch, sentence, word)``, which sums to one over each sentence's, and that to sentences
    ``(batch, sentence)``, which sums to one over each document's; float32.

    Args:
        inputs: ids and mask of a batch, ``(batch, sentence, word)``.

    Raises:
        InputError: the network has no such attentions.
    """
    found = getattr(family(model.family), "document_attentions", None)
    if found is None:
        raise InputError(
            f"A {model.family} network does not read documents sentence by sentence; choose a family that does."
        )
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        tensors = {name: torch.from_numpy(array).to(device).long() for name, array in inputs.items()}
        words, sentences = found(model.backbone, tensors)
    return words.float().cpu().numpy(), sentences.float().cpu().numpy()
