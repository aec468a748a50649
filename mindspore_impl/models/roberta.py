"""Mirrors pytorch_impl.models.roberta; differs: native cells, which number positions as RoBERTa does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from mindspore_impl import functional as F
from mindspore_impl.blocks import encoder
from mindspore_impl.layers.modules import past_of
from mindspore_impl.models.bert import unsupported  # noqa: F401  part of a backbone's module

__all__ = ["backbone", "first_states", "hidden_states", "states"]


class Embeddings(encoder.Embeddings):
    """Of a configuration with RoBERTa's entries; the positions of padding ids are ``padding``."""

    def __init__(self, path: str, config: Mapping[str, Any], types: int):
        sizes = (config["hidden_size"], types, config["layer_norm_eps"], config["hidden_dropout_prob"])
        super().__init__(path, config, *sizes)
        self.padding = self.position.padding = config["pad_token_id"]

    def located(self, input_ids, start):
        """Rows of the position table: the one of ``padding`` for padding ids, and those after it for the others."""
        real = (input_ids != self.padding).astype(ms.int32)
        positions = (F.cumsum(real, 1).astype(ms.int32) + start) * real + self.padding
        return self.position(F.reshape(positions, (-1,)))


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The encoder, its parameters zero, to be filled by the caller."""
    embeddings = Embeddings("roberta.embeddings", config, config["type_vocab_size"])
    layers = encoder.bert_layers("roberta.encoder.layer", config)
    return encoder.Encoder(embeddings, layers, config["num_attention_heads"])


def _of_one_type(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ids, past = batch["input_ids"], past_of(batch)
    found = {"input_ids": ids, "attention_mask": batch["attention_mask"], "token_type_ids": ops.zeros_like(ids)}
    if past is not None:
        found["past"] = past
    if "perturbation" in batch:
        found["perturbation"] = batch["perturbation"]
    return found


def states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The last layer's output, ``(batch * seq, hidden)``."""
    return encoder.states(model, _of_one_type(batch))


def first_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The first position's output, ``(batch, hidden)``."""
    return encoder.first_states(model, _of_one_type(batch))


def hidden_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """The embeddings and every layer's output, each ``(batch * seq, hidden)``."""
    return encoder.hidden_states(model, _of_one_type(batch))
