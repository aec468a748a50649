"""Mirrors pytorch_impl.models.transformer; made of it by scripts/convert_models.py."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import mindspore as ms
from mindspore import mint

from common.models.sinusoids import sinusoids
from mindspore_impl import functional as F
from mindspore_impl import nn
from mindspore_impl.shims import tensor as tensors

__all__ = ["attentions", "backbone", "continued", "hidden_states", "remembered", "states"]

_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


class Attention(ms.nn.Cell):
    """softmax(Q K^T / sqrt(d_k)) V of several heads (section 3.2), with projections."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        width = config["d_model"]
        self.heads = config["num_heads"]
        self.scale = (width // self.heads) ** -0.5
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(config["attention_dropout"])

    def split(self, x: ms.Tensor) -> ms.Tensor:
        """``(batch, seq, width)`` to ``(batch, heads, seq, width of a head)``."""
        batch, length, width = x.shape
        return mint.transpose(tensors.reshape(x, batch, length, self.heads, width // self.heads), 1, 2)

    def memory(self, x: ms.Tensor) -> tuple[ms.Tensor, ms.Tensor]:
        """Keys and values of ``(batch, seq, width)``, each ``(batch, heads, seq, width of a head)``."""
        return self.split(self.k_proj(x)), self.split(self.v_proj(x))

    def probabilities(self, x: ms.Tensor, key: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """``(batch, heads, queries, seq)``; ``mask`` is added to the scores."""
        scores = F.matmul(self.split(self.q_proj(x)), mint.transpose(key, 2, 3)) * self.scale
        return F.softmax(scores + mask, dim=-1)

    def construct(self, x: ms.Tensor, key: ms.Tensor, value: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """``x`` ``(batch, queries, width)`` to the same."""
        mixed = mint.transpose(F.matmul(self.dropout(self.probabilities(x, key, mask)), value), 1, 2)
        return self.out_proj(tensors.reshape(mixed, x.shape))


class EncoderLayer(ms.nn.Cell):
    """Self-attention and feed-forward part, each LayerNorm(x + Dropout(Sublayer(x)))."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        width, eps = config["d_model"], config["layer_norm_eps"]
        self.self_attn = Attention(config)
        self.self_attn_layer_norm = nn.LayerNorm(width, eps=eps)
        self.fc1 = nn.Linear(width, config["d_ff"])
        self.fc2 = nn.Linear(config["d_ff"], width)
        self.final_layer_norm = nn.LayerNorm(width, eps=eps)
        self.attention_dropout = nn.Dropout(config["dropout"])
        self.feed_dropout = nn.Dropout(config["dropout"])

    def construct(self, x: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """``x`` ``(batch, source, width)`` to the same."""
        key, value = self.self_attn.memory(x)
        x = self.self_attn_layer_norm(x + self.attention_dropout(self.self_attn(x, key, value, mask)))
        return self.final_layer_norm(x + self.feed_dropout(self.fc2(F.relu(self.fc1(x)))))


class DecoderLayer(ms.nn.Cell):
    """Self-attention, attention to the encoder's states, feed-forward part."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
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

    def among(self, x: ms.Tensor, key: ms.Tensor, value: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """The first sub-layer: what the attention to the encoder's states gets."""
        return self.self_attn_layer_norm(x + self.attention_dropout(self.self_attn(x, key, value, mask)))

    def beyond(self, x: ms.Tensor, key: ms.Tensor, value: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """The other two, with keys and values of the encoder's states."""
        x = self.encoder_attn_layer_norm(x + self.encoder_dropout(self.encoder_attn(x, key, value, mask)))
        return self.final_layer_norm(x + self.feed_dropout(self.fc2(F.relu(self.fc1(x)))))

    def construct(self, x: ms.Tensor, mask: ms.Tensor, encoded: ms.Tensor, padding: ms.Tensor) -> ms.Tensor:
        """``x`` ``(batch, target, width)`` to the same."""
        key, value = self.self_attn.memory(x)
        x = self.among(x, key, value, mask)
        key, value = self.encoder_attn.memory(encoded)
        return self.beyond(x, key, value, padding)


class Encoder(ms.nn.Cell):
    """The layers of the source."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        self.layers = ms.nn.CellList([EncoderLayer(config) for _ in range(config["num_layers"])])
        self.dropout = nn.Dropout(config["dropout"])

    def construct(self, x: ms.Tensor, padding: ms.Tensor) -> ms.Tensor:
        """Embeddings ``(batch, source, width)`` to states of the same shape."""
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, padding)
        return x


class Decoder(ms.nn.Cell):
    """The layers of the target."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        self.layers = ms.nn.CellList([DecoderLayer(config) for _ in range(config["num_layers"])])
        self.dropout = nn.Dropout(config["dropout"])

    def construct(self, x: ms.Tensor, mask: ms.Tensor, encoded: ms.Tensor, padding: ms.Tensor) -> ms.Tensor:
        """Embeddings ``(batch, target, width)`` to states of the same shape."""
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, mask, encoded, padding)
        return x


class Transformer(ms.nn.Cell):
    """Both, with one table for source and target."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        width = config["d_model"]
        self.factor = math.sqrt(width)
        self.shared = nn.Embedding(config["vocab_size"], width)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        table = ms.Tensor.from_numpy(sinusoids(config["max_position_embeddings"], width))
        self.register_buffer("sinusoids", table, persistent=False)

    def embed(self, ids: ms.Tensor, start: int = 0) -> ms.Tensor:
        """The table's rows times sqrt(width) plus the positions from ``start`` on, ``(batch, seq, width)``."""
        return self.shared(ids) * self.factor + self.sinusoids[start : start + ids.shape[1]]

    def padding(self, attention_mask: ms.Tensor) -> ms.Tensor:
        """What is added to the scores of source tokens, ``(batch, 1, 1, source)``."""
        hidden = 1.0 - attention_mask.to(self.sinusoids.dtype)
        return hidden[:, None, None, :] * _NEGATIVE

    def causal(self, ids: ms.Tensor) -> ms.Tensor:
        """What is added to the scores of later target tokens, ``(1, 1, target, target)``."""
        places = F.arange(ids.shape[1])
        later = places[None, :] > places[:, None]
        return (later.to(self.sinusoids.dtype) * _NEGATIVE)[None, None, :, :]

    def construct(self, input_ids: ms.Tensor, attention_mask: ms.Tensor, decoder_input_ids: ms.Tensor) -> ms.Tensor:
        """Ids ``(batch, source)`` and ``(batch, target)`` to states ``(batch, target, width)``."""
        padding = self.padding(attention_mask)
        encoded = self.encoder(self.embed(input_ids), padding)
        return self.decoder(self.embed(decoder_input_ids), self.causal(decoder_input_ids), encoded, padding)


def backbone(config: Mapping[str, Any]) -> ms.nn.Cell:
    """Encoder and decoder with untouched start values, to be filled by the caller."""
    return Transformer(config)


def states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> ms.Tensor:
    """The decoder's states, ``(batch, target, width)``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["decoder_input_ids"])


def hidden_states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
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


def attentions(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
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
    model: ms.nn.Cell, input_ids: ms.Tensor, attention_mask: ms.Tensor
) -> tuple[list[ms.Tensor], list[ms.Tensor]]:
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
    model: ms.nn.Cell, tokens: ms.Tensor, place: int, kept: list[ms.Tensor], past: list[ms.Tensor]
) -> tuple[ms.Tensor, list[ms.Tensor]]:
    """The state ``(rows, width)`` of one more token ``(rows, 1)`` at the position ``place``, and what is kept for the
    next one: keys and values of all tokens so far, of every layer."""
    x = model.embed(tokens, place)
    now = []
    for index, layer in enumerate(model.decoder.layers):
        key, value = layer.self_attn.memory(x)
        if past:
            key = F.cat([past[2 * index], key], dim=2)
            value = F.cat([past[2 * index + 1], value], dim=2)
        now.append(key)
        now.append(value)
        x = layer.among(x, key, value, 0.0)  # it sees all tokens before it
        x = layer.beyond(x, kept[2 * index + 1], kept[2 * index + 2], kept[0])
    return x[:, 0], now
