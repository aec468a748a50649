"""The Transformer's encoder and decoder (Vaswani et al. 2017).

Converted to MindSpore by scripts/convert_models.py.

Shapes: batch, source and target are rows, tokens that are read and tokens that are written; width is ``d_model``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from common.models.sinusoids import sinusoids

__all__ = ["attentions", "backbone", "continued", "hidden_states", "remembered", "states"]

_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d_k)) V of several heads (section 3.2), with projections."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width = config["d_model"]
        self.heads = config["num_heads"]
        self.scale = (width // self.heads) ** -0.5
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(config["attention_dropout"])

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, seq, width)`` to ``(batch, heads, seq, width of a head)``."""
        batch, length, width = x.shape
        return x.reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def memory(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of ``(batch, seq, width)``, each ``(batch, heads, seq, width of a head)``."""
        return self.split(self.k_proj(x)), self.split(self.v_proj(x))

    def probabilities(self, x: torch.Tensor, key: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``(batch, heads, queries, seq)``; ``mask`` is added to the scores."""
        scores = torch.matmul(self.split(self.q_proj(x)), key.transpose(2, 3)) * self.scale
        return torch.softmax(scores + mask, dim=-1)

    def forward(self, x: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``x`` ``(batch, queries, width)`` to the same."""
        mixed = torch.matmul(self.dropout(self.probabilities(x, key, mask)), value).transpose(1, 2)
        return self.out_proj(mixed.reshape(x.shape))


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward part, each LayerNorm(x + Dropout(Sublayer(x)))."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width, eps = config["d_model"], config["layer_norm_eps"]
        self.self_attn = Attention(config)
        self.self_attn_layer_norm = nn.LayerNorm(width, eps=eps)
        self.fc1 = nn.Linear(width, config["d_ff"])
        self.fc2 = nn.Linear(config["d_ff"], width)
        self.final_layer_norm = nn.LayerNorm(width, eps=eps)
        self.attention_dropout = nn.Dropout(config["dropout"])
        self.feed_dropout = nn.Dropout(config["dropout"])

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``x`` ``(batch, source, width)`` to the same."""
        key, value = self.self_attn.memory(x)
        x = self.self_attn_layer_norm(x + self.attention_dropout(self.self_attn(x, key, value, mask)))
        return self.final_layer_norm(x + self.feed_dropout(self.fc2(torch.relu(self.fc1(x)))))


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoder's states, feed-forward part."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width, eps = config["d_model"], config["layer_norm_eps"]
        self.self_attn = Attention(config)
        self.self_attn_layer_norm = nn.LayerNorm(width, eps=eps)
        self.encoder_attn = Attention(config)
        self.encoder_attn_layer_norm = nn.LayerNorm(width, eps=eps)
        self.fc1 = nn.Linear(width, config["d_ff"])
        self.fc2 = nn.Linear(config["d_ff"], width)
        self.final_layer_norm = nn.LayerNorm(width, eps=eps)
        self.attention_dropout = nn.Dropout(config["dropout"])
        self.encoder_dropout = nn.Dropout(config["dropout"])
        self.feed_dropout = nn.Dropout(config["dropout"])

    def among(self, x: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The first sub-layer: what the attention to the encoder's states gets."""
        return self.self_attn_layer_norm(x + self.attention_dropout(self.self_attn(x, key, value, mask)))

    def beyond(self, x: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The other two, with keys and values of the encoder's states."""
        x = self.encoder_attn_layer_norm(x + self.encoder_dropout(self.encoder_attn(x, key, value, mask)))
        return self.final_layer_norm(x + self.feed_dropout(self.fc2(torch.relu(self.fc1(x)))))

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, encoded: torch.Tensor, padding: torch.Tensor
    ) -> torch.Tensor:
        """``x`` ``(batch, target, width)`` to the same."""
        key, value = self.self_attn.memory(x)
        x = self.among(x, key, value, mask)
        key, value = self.encoder_attn.memory(encoded)
        return self.beyond(x, key, value, padding)


class Encoder(nn.Module):
    """The layers of the source."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.layers = nn.ModuleList([EncoderLayer(config) for _ in range(config["num_layers"])])
        self.dropout = nn.Dropout(config["dropout"])

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """Embeddings ``(batch, source, width)`` to states of the same shape."""
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, padding)
        return x


class Decoder(nn.Module):
    """The layers of the target."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.layers = nn.ModuleList([DecoderLayer(config) for _ in range(config["num_layers"])])
        self.dropout = nn.Dropout(config["dropout"])

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, encoded: torch.Tensor, padding: torch.Tensor
    ) -> torch.Tensor:
        """Embeddings ``(batch, target, width)`` to states of the same shape."""
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, mask, encoded, padding)
        return x


class Transformer(nn.Module):
    """Both, with one table for source and target."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width = config["d_model"]
        self.factor = math.sqrt(width)
        self.shared = nn.Embedding(config["vocab_size"], width)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        table = torch.from_numpy(sinusoids(config["max_position_embeddings"], width))
        self.register_buffer("sinusoids", table, persistent=False)

    def embed(self, ids: torch.Tensor, start: int = 0) -> torch.Tensor:
        """The table's rows times sqrt(width) plus the positions from ``start`` on, ``(batch, seq, width)``."""
        return self.shared(ids) * self.factor + self.sinusoids[start : start + ids.shape[1]]

    def padding(self, attention_mask: torch.Tensor) -> torch.Tensor:
        """What is added to the scores of source tokens, ``(batch, 1, 1, source)``."""
        hidden = 1.0 - attention_mask.to(self.sinusoids.dtype)
        return hidden[:, None, None, :] * _NEGATIVE

    def causal(self, ids: torch.Tensor) -> torch.Tensor:
        """What is added to the scores of later target tokens, ``(1, 1, target, target)``."""
        places = torch.arange(ids.shape[1], device=ids.device)
        later = places[None, :] > places[:, None]
        return (later.to(self.sinusoids.dtype) * _NEGATIVE)[None, None, :, :]

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, decoder_input_ids: torch.Tensor
    ) -> torch.Tensor:
        """Ids ``(batch, source)`` and ``(batch, target)`` to states ``(batch, target, width)``."""
        padding = self.padding(attention_mask)
        encoded = self.encoder(self.embed(input_ids), padding)
        return self.decoder(self.embed(decoder_input_ids), self.causal(decoder_input_ids), encoded, padding)


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """Encoder and decoder with untouched start values, to be filled by the caller."""
    return Transformer(config)


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The decoder's states, ``(batch, target, width)``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["decoder_input_ids"])


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """Embeddings and every layer's output of the encoder ``(batch, source, width)``, then of the decoder ``(batch,
    target, width)``."""
    padding = model.padding(batch["attention_mask"])
    causal = model.causal(batch["decoder_input_ids"])
    found = [model.encoder.dropout(model.embed(batch["input_ids"]))]
    for layer in model.encoder.layers:
        found.append(layer(found[-1], padding))
    encoded = found[-1]
    found.append(model.decoder.dropout(model.embed(batch["decoder_input_ids"])))
    for layer in model.decoder.layers:
        found.append(layer(found[-1], causal, encoded, padding))
    return found


def attentions(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """Of every decoder layer the probabilities with which target tokens attend to source tokens, ``(batch, heads,
    target, source)``."""
    padding = model.padding(batch["attention_mask"])
    causal = model.causal(batch["decoder_input_ids"])
    encoded = model.encoder(model.embed(batch["input_ids"]), padding)
    x = model.decoder.dropout(model.embed(batch["decoder_input_ids"]))
    found = []
    for layer in model.decoder.layers:
        key, value = layer.self_attn.memory(x)
        x = layer.among(x, key, value, causal)
        key, value = layer.encoder_attn.memory(encoded)
        found.append(layer.encoder_attn.probabilities(x, key, padding))
        x = layer.beyond(x, key, value, padding)
    return found


def remembered(
    model: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What is read of the sources once: the mask of the padding, then keys and values of every decoder layer; and what
    changes with every token, of which there is nothing yet. Rows are the first axis of every tensor."""
    padding = model.padding(attention_mask)
    encoded = model.encoder(model.embed(input_ids), padding)
    kept = [padding]
    for layer in model.decoder.layers:
        key, value = layer.encoder_attn.memory(encoded)
        kept.append(key)
        kept.append(value)
    return kept, []


def continued(
    model: nn.Module, tokens: torch.Tensor, place: int, kept: list[torch.Tensor], past: list[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The state ``(rows, width)`` of one more token ``(rows, 1)`` at the position ``place``, and what is kept for the
    next one: keys and values of all tokens so far, of every layer."""
    x = model.embed(tokens, place)
    now = []
    for index, layer in enumerate(model.decoder.layers):
        key, value = layer.self_attn.memory(x)
        if past:
            key = torch.cat([past[2 * index], key], dim=2)
            value = torch.cat([past[2 * index + 1], value], dim=2)
        now.append(key)
        now.append(value)
        x = layer.among(x, key, value, 0.0)  # it sees all tokens before it
        x = layer.beyond(x, kept[2 * index + 1], kept[2 * index + 2], kept[0])
    return x[:, 0], now
