"""Mirrors pytorch_impl.models.gaussian_nb; made of it by scripts/convert_models.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms

from mindspore_impl import functional as F
from mindspore_impl import nn

__all__ = ["GaussianNB", "backbone", "hidden_states", "states"]

_NEGATIVE = -1e30  # below every feature of a word


class GaussianNB(ms.nn.Cell):
    """The features of a text that naive Bayes reads."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        rows, width, padding = config["vocab_size"], config["embedding_size"], config["pad_token_id"]
        self.embeddings = nn.Embedding(rows, width, padding_idx=padding)
        self.dropout = nn.Dropout(config["dropout"])

    def construct(self, input_ids: ms.Tensor, attention_mask: ms.Tensor) -> ms.Tensor:
        """``(batch, embedding_size)``."""
        x = self.dropout(self.embeddings(input_ids))
        absent = (1.0 - attention_mask.to(x.dtype)).unsqueeze(2) * _NEGATIVE  # (batch, seq, 1)
        return F.amax(x + absent, dim=1)


def backbone(config: Mapping[str, Any]) -> ms.nn.Cell:
    """The network with untouched start values, to be filled by the caller."""
    return GaussianNB(config)


def states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> ms.Tensor:
    """One vector for each text, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"])


def hidden_states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
    """The same alone."""
    return [states(model, batch)]
