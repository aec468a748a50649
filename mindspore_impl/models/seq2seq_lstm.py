"""Mirrors pytorch_impl.models.seq2seq_lstm; made of it by scripts/convert_models.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms
from mindspore import mint

from mindspore_impl import functional as F
from mindspore_impl import nn
from mindspore_impl.layers.recurrent import LSTM

__all__ = ["backbone", "continued", "hidden_states", "remembered", "states"]

State = tuple[ms.Tensor, ms.Tensor]


class Reader(ms.nn.Cell):
    """A table and the LSTM that reads its rows; the encoder and the decoder are one each."""

    def __init__(self, path: str, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        width, hidden, dropout = config["embedding_size"], config["hidden_size"], config["dropout"]
        self.embed_tokens = nn.Embedding(config["vocab_size"], width)
        self.lstm = LSTM(f"{path}.lstm", width, hidden, config["num_layers"], dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.state_dropout = nn.Dropout(dropout)

    def embed(self, ids: ms.Tensor) -> ms.Tensor:
        """``(batch, seq)`` to ``(batch, seq, width)``."""
        return self.dropout(self.embed_tokens(ids))

    def construct(self, ids: ms.Tensor, lengths: ms.Tensor, state: State | None = None) -> Any:
        """States ``(batch, seq, hidden)`` of the first ``lengths`` ``(batch,)`` tokens of each row, and the one after
        them, two tensors ``(layers, batch, hidden)``."""
        outputs, end = self.lstm(self.embed(ids), lengths, state)
        return self.state_dropout(outputs), end


class Seq2SeqLSTM(ms.nn.Cell):
    """Both."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        self.encoder = Reader("model.encoder", config)
        self.decoder = Reader("model.decoder", config)

    def whole(self, ids: ms.Tensor) -> ms.Tensor:
        """Lengths of rows of which every token is read: what is padding in a target has no successor."""
        return F.full((ids.shape[0],), ids.shape[1], dtype=ids.dtype)

    def construct(self, input_ids: ms.Tensor, attention_mask: ms.Tensor, decoder_input_ids: ms.Tensor) -> ms.Tensor:
        """Ids ``(batch, source)`` and ``(batch, target)`` to states ``(batch, target, hidden)``."""
        _, end = self.encoder(input_ids, F.sum(attention_mask, dim=1))
        outputs, _ = self.decoder(decoder_input_ids, self.whole(decoder_input_ids), end)
        return outputs


def backbone(config: Mapping[str, Any]) -> ms.nn.Cell:
    """Encoder and decoder with untouched start values, to be filled by the caller."""
    return Seq2SeqLSTM(config)


def states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> ms.Tensor:
    """The decoder's states, ``(batch, target, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["decoder_input_ids"])


def hidden_states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
    """Embeddings and states of the encoder ``(batch, source, ...)``, then of the decoder ``(batch, target, ...)``."""
    written = batch["decoder_input_ids"]
    read, end = model.encoder(batch["input_ids"], F.sum(batch["attention_mask"], dim=1))
    outputs, _ = model.decoder(written, model.whole(written), end)
    return [model.encoder.embed(batch["input_ids"]), read, model.decoder.embed(written), outputs]


def remembered(
    model: ms.nn.Cell, input_ids: ms.Tensor, attention_mask: ms.Tensor
) -> tuple[list[ms.Tensor], list[ms.Tensor]]:
    """What is read of the sources and stays, of which there is nothing; and what changes with every token: the state
    after the source, two tensors ``(rows, layers, hidden)``."""
    _, (h, c) = model.encoder(input_ids, F.sum(attention_mask, dim=1))
    return [], [mint.transpose(h, 0, 1), mint.transpose(c, 0, 1)]


def continued(
    model: ms.nn.Cell, tokens: ms.Tensor, place: int, kept: list[ms.Tensor], past: list[ms.Tensor]
) -> tuple[ms.Tensor, list[ms.Tensor]]:
    """The state ``(rows, hidden)`` of one more token ``(rows, 1)``, and what is kept for the next one."""
    given = (mint.transpose(past[0], 0, 1), mint.transpose(past[1], 0, 1))
    outputs, (h, c) = model.decoder(tokens, model.whole(tokens), given)
    return outputs[:, 0], [mint.transpose(h, 0, 1), mint.transpose(c, 0, 1)]
