"""Encoder and decoder of LSTMs (Sutskever et al. 2014).

Converted to MindSpore by scripts/convert_models.py.

Shapes: batch, source and target are rows, tokens that are read and tokens that are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pytorch_impl.layers.recurrent import LSTM

__all__ = ["backbone", "continued", "hidden_states", "remembered", "states"]

State = tuple[torch.Tensor, torch.Tensor]


class Reader(nn.Module):
    """A table and the LSTM that reads its rows; the encoder and the decoder are one each."""

    def __init__(self, path: str, config: Mapping[str, Any]):
        super().__init__()
        width, hidden, dropout = config["embedding_size"], config["hidden_size"], config["dropout"]
        self.embed_tokens = nn.Embedding(config["vocab_size"], width)
        self.lstm = LSTM(f"{path}.lstm", width, hidden, config["num_layers"], dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.state_dropout = nn.Dropout(dropout)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """``(batch, seq)`` to ``(batch, seq, width)``."""
        return self.dropout(self.embed_tokens(ids))

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor, state: State | None = None) -> Any:
        """States ``(batch, seq, hidden)`` of the first ``lengths`` ``(batch,)`` tokens of each row, and the one after
        them, two tensors ``(layers, batch, hidden)``."""
        outputs, end = self.lstm(self.embed(ids), lengths, state)
        return self.state_dropout(outputs), end


class Seq2SeqLSTM(nn.Module):
    """Both."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.encoder = Reader("model.encoder", config)
        self.decoder = Reader("model.decoder", config)

    def whole(self, ids: torch.Tensor) -> torch.Tensor:
        """Lengths of rows of which every token is read: what is padding in a target has no successor."""
        return torch.full((ids.shape[0],), ids.shape[1], dtype=ids.dtype, device=ids.device)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, decoder_input_ids: torch.Tensor
    ) -> torch.Tensor:
        """Ids ``(batch, source)`` and ``(batch, target)`` to states ``(batch, target, hidden)``."""
        _, end = self.encoder(input_ids, attention_mask.sum(dim=1))
        outputs, _ = self.decoder(decoder_input_ids, self.whole(decoder_input_ids), end)
        return outputs


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """Encoder and decoder with untouched start values, to be filled by the caller."""
    return Seq2SeqLSTM(config)


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The decoder's states, ``(batch, target, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["decoder_input_ids"])


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """Embeddings and states of the encoder ``(batch, source, ...)``, then of the decoder ``(batch, target, ...)``."""
    written = batch["decoder_input_ids"]
    read, end = model.encoder(batch["input_ids"], batch["attention_mask"].sum(dim=1))
    outputs, _ = model.decoder(written, model.whole(written), end)
    return [model.encoder.embed(batch["input_ids"]), read, model.decoder.embed(written), outputs]


def remembered(
    model: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What is read of the sources and stays, of which there is nothing; and what changes with every token: the state
    after the source, two tensors ``(rows, layers, hidden)``."""
    _, (h, c) = model.encoder(input_ids, attention_mask.sum(dim=1))
    return [], [h.transpose(0, 1), c.transpose(0, 1)]


def continued(
    model: nn.Module, tokens: torch.Tensor, place: int, kept: list[torch.Tensor], past: list[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The state ``(rows, hidden)`` of one more token ``(rows, 1)``, and what is kept for the next one."""
    given = (past[0].transpose(0, 1), past[1].transpose(0, 1))
    outputs, (h, c) = model.decoder(tokens, model.whole(tokens), given)
    return outputs[:, 0], [h.transpose(0, 1), c.transpose(0, 1)]
