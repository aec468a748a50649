"""HAN (Yang et al. 2016).

Converted to MindSpore by scripts/convert_models.py.

Shapes: batch, sentence and word are documents, sentences of a document and words of a sentence. A mask is 1 where there
is a word. A sentence without words gets no attention, and neither does a word that is padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pytorch_impl.layers.recurrent import GRU

__all__ = ["backbone", "document_attentions", "hidden_states", "states"]

_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


class Attention(nn.Module):
    """a = softmax(c . tanh(W h + b)) over the real positions, with a context vector c."""

    def __init__(self, width: int, size: int):
        super().__init__()
        self.dense = nn.Linear(width, size)
        self.context = nn.Linear(size, 1, bias=False)

    def forward(self, h: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``h`` ``(rows, positions, width)`` and ``mask`` ``(rows, positions)`` to weights like ``mask``."""
        scores = self.context(torch.tanh(self.dense(h))).squeeze(-1)
        return torch.softmax(scores + (1.0 - mask) * _NEGATIVE, dim=-1) * mask


class Mean(nn.Module):
    """The same weight for each real position."""

    def forward(self, h: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``mask`` ``(rows, positions)`` to weights like it."""
        return mask / mask.sum(-1, keepdim=True).clamp(min=1.0)


class Han(nn.Module):
    """A table of words and two levels."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width, hidden = config["embedding_size"], config["hidden_size"]
        self.embeddings = nn.Embedding(config["vocab_size"], width)
        self.dropout = nn.Dropout(config["dropout"])
        self.encodes = config["encoder"] == "gru"
        inner = 2 * hidden if self.encodes else width
        if self.encodes:
            self.word_gru = GRU("han.word_gru", width, hidden, bidirectional=True)
            self.sentence_gru = GRU("han.sentence_gru", inner, hidden, bidirectional=True)
        attends = config["pooling"] == "attention"
        self.word_attention = Attention(inner, config["attention_size"]) if attends else Mean()
        self.sentence_attention = Attention(inner, config["attention_size"]) if attends else Mean()

    def words(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of sentences ``(batch, sentence, inner)`` and the attention to words ``(batch, sentence, word)``,
        from ids and mask ``(batch, sentence, word)``."""
        batch, sentences, words = ids.shape
        h = self.dropout(self.embeddings(ids.reshape(batch * sentences, words)))
        rows = mask.reshape(batch * sentences, words).to(h.dtype)
        if self.encodes:
            h, _ = self.word_gru(h, rows.sum(-1).clamp(min=1.0).long())
        weights = self.word_attention(h, rows)
        vectors = torch.matmul(weights.unsqueeze(1), h).squeeze(1)
        return vectors.reshape(batch, sentences, -1), weights.reshape(batch, sentences, words)

    def sentences(self, vectors: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of documents ``(batch, inner)`` and the attention to sentences ``(batch, sentence)``, from vectors of
        sentences and which of them have words."""
        h = vectors
        if self.encodes:
            counted = mask.to(torch.float32).sum(-1)  # bfloat16 does not hold every number above 256
            h, _ = self.sentence_gru(vectors, counted.clamp(min=1.0).long())
        weights = self.sentence_attention(h, mask)
        return torch.matmul(weights.unsqueeze(1), h).squeeze(1), weights

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """Vectors of sentences and of documents, and both attentions."""
        vectors, words = self.words(ids, mask)
        documents, sentences = self.sentences(vectors, mask[:, :, 0].to(vectors.dtype))
        return [vectors, documents, words, sentences]


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The network without its head, to be filled by the caller."""
    return Han(config)


def _run(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    return model(batch["input_ids"], batch["attention_mask"])


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The documents' vectors, ``(batch, inner)``."""
    return _run(model, batch)[1]


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The sentences' vectors side by side, ``(batch, sentence * inner)``, and the documents'."""
    vectors, documents, _, _ = _run(model, batch)
    return [vectors.reshape(vectors.shape[0], -1), documents]


def document_attentions(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The attention to words ``(batch, sentence, word)``, which sums to one over each sentence's, and that to sentences
    ``(batch, sentence)``, which sums to one over the document's."""
    return _run(model, batch)[2:]
