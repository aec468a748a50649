"""Mirrors pytorch_impl.models.han; made of it by scripts/convert_models.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms

from mindspore_impl import functional as F
from mindspore_impl import nn
from mindspore_impl.layers.recurrent import GRU
from mindspore_impl.shims import tensor as tensors

__all__ = ["backbone", "document_attentions", "hidden_states", "states"]

_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


class Attention(ms.nn.Cell):
    """a = softmax(c . tanh(W h + b)) over the real positions, with a context vector c."""

    def __init__(self, width: int, size: int):
        super().__init__()
        self.set_train()  # as torch's modules start
        self.dense = nn.Linear(width, size)
        self.context = nn.Linear(size, 1, bias=False)

    def construct(self, h: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """``h`` ``(rows, positions, width)`` and ``mask`` ``(rows, positions)`` to weights like ``mask``."""
        scores = F.squeeze(self.context(F.tanh(self.dense(h))), -1)
        return F.softmax(scores + (1.0 - mask) * _NEGATIVE, dim=-1) * mask


class Mean(ms.nn.Cell):
    """The same weight for each real position."""

    def construct(self, h: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """``mask`` ``(rows, positions)`` to weights like it."""
        return mask / F.clamp(F.sum(mask, -1, keepdim=True), min=1.0)


class Han(ms.nn.Cell):
    """A table of words and two levels."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
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

    def words(self, ids: ms.Tensor, mask: ms.Tensor) -> tuple[ms.Tensor, ms.Tensor]:
        """Vectors of sentences ``(batch, sentence, inner)`` and the attention to words ``(batch, sentence, word)``,
        from ids and mask ``(batch, sentence, word)``."""
        batch, sentences, words = ids.shape
        h = self.dropout(self.embeddings(tensors.reshape(ids, batch * sentences, words)))
        rows = tensors.reshape(mask, batch * sentences, words).to(h.dtype)
        if self.encodes:
            h, _ = self.word_gru(h, F.clamp(F.sum(rows, -1), min=1.0).long())
        weights = self.word_attention(h, rows)
        vectors = F.squeeze(F.matmul(weights.unsqueeze(1), h), 1)
        return tensors.reshape(vectors, batch, sentences, -1), tensors.reshape(weights, batch, sentences, words)

    def sentences(self, vectors: ms.Tensor, mask: ms.Tensor) -> tuple[ms.Tensor, ms.Tensor]:
        """Vectors of documents ``(batch, inner)`` and the attention to sentences ``(batch, sentence)``, from vectors of
        sentences and which of them have words."""
        h = vectors
        if self.encodes:
            counted = F.sum(mask.to(ms.float32), -1)  # bfloat16 does not hold every number above 256
            h, _ = self.sentence_gru(vectors, F.clamp(counted, min=1.0).long())
        weights = self.sentence_attention(h, mask)
        return F.squeeze(F.matmul(weights.unsqueeze(1), h), 1), weights

    def construct(self, ids: ms.Tensor, mask: ms.Tensor) -> list[ms.Tensor]:
        """Vectors of sentences and of documents, and both attentions."""
        vectors, words = self.words(ids, mask)
        documents, sentences = self.sentences(vectors, mask[:, :, 0].to(vectors.dtype))
        return [vectors, documents, words, sentences]


def backbone(config: Mapping[str, Any]) -> ms.nn.Cell:
    """The network without its head, to be filled by the caller."""
    return Han(config)


def _run(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
    return model(batch["input_ids"], batch["attention_mask"])


def states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> ms.Tensor:
    """The documents' vectors, ``(batch, inner)``."""
    return _run(model, batch)[1]


def hidden_states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
    """The sentences' vectors side by side, ``(batch, sentence * inner)``, and the documents'."""
    vectors, documents, _, _ = _run(model, batch)
    return [tensors.reshape(vectors, vectors.shape[0], -1), documents]


def document_attentions(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
    """The attention to words ``(batch, sentence, word)``, which sums to one over each sentence's, and that to sentences
    ``(batch, sentence)``, which sums to one over the document's."""
    return _run(model, batch)[2:]
