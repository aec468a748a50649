"""Mirrors pytorch_impl.models.gpt2; differs: native cells that load the same Hugging Face weights, hidden states
two-dimensional."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from mindspore_impl import functional as F
from mindspore_impl import fused
from mindspore_impl.layers.attention import attention, behind, join_heads, split_heads
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import Conv1D, Embedding, LayerNorm, of_layer, padding_mask, past_of

__all__ = ["backbone", "cached_states", "hidden_states", "states"]

_write = ops.ScatterUpdate()  # in place: returns the parameter
_APPROXIMATE = {"gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu": "none"}


class GPT2Block(nn.Cell):
    """Self-attention and feed-forward with pre-norm residuals."""

    def __init__(self, path: str, config: Mapping[str, Any]):
        super().__init__(auto_prefix=False)
        hidden, eps = config["n_embd"], config["layer_norm_epsilon"]
        inner = config["n_inner"] or 4 * hidden
        self.hidden, self.scale, self.plain = hidden, (hidden // config["n_head"]) ** -0.5, ()
        self.approximate = _APPROXIMATE[config["activation_function"]]
        self.ln_1 = LayerNorm(f"{path}.ln_1", hidden, eps)
        self.c_attn = Conv1D(f"{path}.attn.c_attn", hidden, 3 * hidden)
        self.attn_proj = Conv1D(f"{path}.attn.c_proj", hidden, hidden)
        self.ln_2 = LayerNorm(f"{path}.ln_2", hidden, eps)
        self.c_fc = Conv1D(f"{path}.mlp.c_fc", hidden, inner)
        self.mlp_proj = Conv1D(f"{path}.mlp.c_proj", inner, hidden)
        self.probabilities = Dropout(f"{path}.attn.probabilities", config["attn_pdrop"])
        self.attn_dropout = Dropout(f"{path}.attn.resid_dropout", config["resid_pdrop"])
        self.mlp_dropout = Dropout(f"{path}.mlp.dropout", config["resid_pdrop"])

    def construct(self, x, mask, past=None):
        # F.split gives views, of which the products that follow are slower: 4 % of a training step on the CPU.
        query, key, value = ops.split(self.c_attn(self.ln_1(x)), self.hidden, 1)
        batch, heads = mask.shape[:2]
        query, key, value = (
            split_heads(query, batch, heads),
            split_heads(key, batch, heads),
            split_heads(value, batch, heads),
        )
        if past is not None:
            key, value = behind(past[0], key), behind(past[1], value)
        mixed = join_heads(
            attention(query, key, value, mask, self.scale, self.probabilities, "attention" not in self.plain)
        )
        x = x + self.attn_dropout(self.attn_proj(mixed))
        return x + self.mlp_dropout(self.feed(self.ln_2(x)))

    def feed(self, x):
        """The feed-forward part without its norm and residual."""
        inner = self.c_fc(x)
        inner = F.gelu(inner, self.approximate) if "fused" in self.plain else fused.gelu(inner, self.approximate)
        return self.mlp_proj(inner)

    def cached(self, x, mask, keys, values, slots, reads, past=None):
        """The same for new positions alone.

        Args:
            x: ``(rows * new, hidden)``.
            mask: ``(rows, heads, new, tokens + new)``, or, where it ``reads`` the cache, ``(rows, heads, 1, capacity)``.
            keys, values: parameters ``(rows * heads * capacity, width)``.
            slots: where in them the new ones go, behind those of ``past``, ``(rows * heads * (tokens + new),)``.
            reads: whether there is something in the cache besides the new positions.
            past: where it does not, keys and values before the new positions, ``(2, heads, tokens, width)``.
        """
        batch, heads = mask.shape[:2]
        query, key, value = ops.split(self.c_attn(self.ln_1.few(x)), self.hidden, 1)
        width = self.hidden // heads
        if reads:
            query = ops.reshape(query, (batch, heads, 1, width))
            key = ops.reshape(_write(keys, slots, ops.reshape(key, (-1, width))), (batch, heads, -1, width))
            value = ops.reshape(_write(values, slots, ops.reshape(value, (-1, width))), (batch, heads, -1, width))
            mixed = attention(query, key, value, mask, self.scale, self.probabilities, False)
            mixed = ops.reshape(mixed, (batch, self.hidden))
        else:
            query, key = split_heads(query, batch, heads), split_heads(key, batch, heads)
            value = split_heads(value, batch, heads)
            if past is not None:
                key, value = behind(past[0], key), behind(past[1], value)
            _write(keys, slots, ops.reshape(key, (-1, width)))
            _write(values, slots, ops.reshape(value, (-1, width)))
            mixed = join_heads(attention(query, key, value, mask, self.scale, self.probabilities, False))
        x = x + self.attn_proj(mixed)
        return x + self.feed(self.ln_2.few(x))


class GPT2(nn.Cell):
    """Embeddings, blocks and the final norm."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__(auto_prefix=False)
        hidden, positions = config["n_embd"], config["n_positions"]
        self.heads, self.positions, self.window = config["n_head"], positions, None
        self.pairs, self.width = self.heads, hidden // self.heads  # of keys and values
        self.word = Embedding("transformer.wte", config["vocab_size"], hidden)
        self.position = Embedding("transformer.wpe", positions, hidden)
        self.dropout = Dropout("transformer.drop", config["embd_pdrop"])
        blocks = [GPT2Block(f"transformer.h.{i}", config) for i in range(config["n_layer"])]
        self.blocks = nn.CellList(blocks, auto_prefix=False)
        self.norm = LayerNorm("transformer.ln_f", hidden, config["layer_norm_epsilon"])
        self.causal = Tensor(np.triu(np.full((positions, positions), -1e30, np.float32), 1))

    def embed(self, input_ids, start):
        """``(batch * seq, hidden)``; ``start`` positions are before the sequence."""
        batch, length = input_ids.shape
        positions = ops.tile(self.position(F.arange(length).astype(ms.int32) + start), (batch, 1))
        return self.dropout(self.word(F.reshape(input_ids, (-1,))) + positions)

    def mask(self, attention_mask, start=0):
        """Causal and padding mask, additive, ``(batch, heads, queries, seq)``, of the queries from ``start`` on."""
        batch, length = attention_mask.shape
        queries = length - start
        of_one = F.reshape(self.causal[start:length, :length], (1, 1, queries, length))
        causal = ops.tile(of_one, (batch, self.heads, 1, 1))
        padding = ops.tile(padding_mask(attention_mask, self.heads), (1, 1, queries, 1))
        return ops.stop_gradient(F.minimum(padding, causal))

    def cached(self, input_ids, positions, mask, keys, values, slots, reads, past=None):
        """The final norm's output at the last new position, ``(rows, hidden)``; see `GPT2Block.cached`.

        Args:
            input_ids, positions: ``(rows, new)``.
            keys, values: one parameter for each block.
        """
        batch, new = input_ids.shape
        x = self.word(F.reshape(input_ids, (-1,))) + self.position(F.reshape(positions, (-1,)))
        for index in range(len(self.blocks)):
            x = self.blocks[index].cached(x, mask, keys[index], values[index], slots, reads, of_layer(past, index))
        if new > 1:
            x = F.reshape(x, (batch, new, -1))[:, new - 1]
        return self.norm.few(x)

    def construct(self, input_ids, attention_mask, past=None):
        start = attention_mask.shape[1] - input_ids.shape[1]
        x = self.embed(input_ids, start)
        mask = self.mask(attention_mask, start)
        for index in range(len(self.blocks)):
            x = self.blocks[index](x, mask, of_layer(past, index))
        return self.norm(x)


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Which of ``config`` the cells do not have; None where they have all."""
    if config["activation_function"] not in _APPROXIMATE:
        known = ", ".join(_APPROXIMATE)
        return f"the activations here are {known}; config.json says {config['activation_function']!r}"
    for key in ("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"):
        if config.get(key):
            return f"there is no {key} here; config.json asks for it"
    if not config.get("scale_attn_weights", True):
        return "attention is scaled here; config.json says otherwise"
    return None


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The decoder, its parameters zero, to be filled by the caller."""
    return GPT2(config)


def states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The output of the final norm, ``(batch * seq, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], past_of(batch))


def hidden_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """The embeddings and every layer's output, each ``(batch * seq, hidden)``; the last one after the final norm."""
    past, start = past_of(batch), batch["attention_mask"].shape[1] - batch["input_ids"].shape[1]
    found = [model.embed(batch["input_ids"], start)]
    mask = model.mask(batch["attention_mask"], start)
    for index in range(len(model.blocks)):
        found.append(model.blocks[index](found[-1], mask, of_layer(past, index)))
    found[-1] = model.norm(found[-1])
    return found


def cached_states(model: nn.Cell, kept: dict[Any, Any] | None) -> nn.Cell:
    """What reads new tokens beside the keys and values of those before (`mindspore_impl.decoding`)."""
    return model
