"""Mirrors pytorch_impl.reading."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import Tensor, nn

from common.errors import InputError
from mindspore_impl.network import family

__all__ = ["document_attentions"]


def document_attentions(model: nn.Cell, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
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
    model.set_train(False)
    words, sentences = found(model.backbone, {name: Tensor(array) for name, array in inputs.items()})
    return words.asnumpy(), sentences.asnumpy()
