"""Mirrors pytorch_impl.models.llama; differs: native cells that load the same Hugging Face weights, hidden states
two-dimensional. The family says which biases and norms there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import Tensor, nn, ops

from common.models import FAMILIES, rotary
from common.models.families.llama import padding_row, sizes
from mindspore_impl import functional as F
from mindspore_impl import fused
from mindspore_impl.layers.attention import attention, behind, join_heads, split_heads
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import Embedding, Linear, RMSNorm, of_layer, padding_mask, past_of
from mindspore_impl.layers.rotary import causal, far, table, turned, turned_at_once

__all__ = ["backbone", "cached_states", "hidden_states", "states"]

_write = ops.ScatterUpdate()  # in place: returns the parameter


class LlamaLayer(nn.Cell):
    """Self-attention and a gated feed-forward part with pre-norm residuals."""

    def __init__(self, path: str, config: Mapping[str, Any]):
        super().__init__(auto_prefix=False)
        family, found = FAMILIES.get(config["model_type"]), sizes(config)
        hidden, inner, eps = config["hidden_size"], config["intermediate_size"], config["rms_norm_eps"]
        self.heads, self.pairs, self.width = found.heads, found.pairs, found.width
        self.scale, self.plain = found.width**-0.5, ()
        queries, keys = found.heads * found.width, found.pairs * found.width
        wide, mlp = family.bias("attention", config), family.bias("mlp", config)
        self.input_norm = RMSNorm(f"{path}.input_layernorm", hidden, eps)
        self.query = Linear(f"{path}.self_attn.q_proj", hidden, queries, wide)
        self.key = Linear(f"{path}.self_attn.k_proj", hidden, keys, wide)
        self.value = Linear(f"{path}.self_attn.v_proj", hidden, keys, wide)
        self.query_norm = RMSNorm(f"{path}.self_attn.q_norm", found.width, eps) if family.NORMED else None
        self.key_norm = RMSNorm(f"{path}.self_attn.k_norm", found.width, eps) if family.NORMED else None
        self.output = Linear(f"{path}.self_attn.o_proj", queries, hidden, family.bias("output", config))
        self.attention_norm = RMSNorm(f"{path}.post_attention_layernorm", hidden, eps)
        self.gate = Linear(f"{path}.mlp.gate_proj", hidden, inner, mlp)
        self.up = Linear(f"{path}.mlp.up_proj", hidden, inner, mlp)
        self.down = Linear(f"{path}.mlp.down_proj", inner, hidden, mlp)
        self.probabilities = Dropout(f"{path}.self_attn.probabilities", config["attention_dropout"])

    def projected(self, x, batch, turns):
        """Query, key and value of ``(batch * length, hidden)`` at their positions, each ``(batch, heads, length,
        width)``."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        if self.query_norm is not None:
            query = F.reshape(self.query_norm(F.reshape(query, (-1, self.width))), query.shape)
            key = F.reshape(self.key_norm(F.reshape(key, (-1, self.width))), key.shape)
        query, key = split_heads(query, batch, self.heads), split_heads(key, batch, self.pairs)
        if "attention" in self.plain:
            query, key = turned(query, turns[0], turns[1]), turned(key, turns[2], turns[3])
        else:
            query, key = turned_at_once(query, turns[0], turns[1]), turned_at_once(key, turns[2], turns[3])
        return query, key, split_heads(value, batch, self.pairs)

    def construct(self, x, mask, turns, past=None):
        """``x`` ``(batch * seq, hidden)`` to the same. ``turns``: cosines and sines of queries and of keys; ``past``: keys
        and values before the sequence, ``(2, heads, tokens, width)``."""
        query, key, value = self.projected(self.input_norm(x), mask.shape[0], turns)
        if past is not None:
            key, value = behind(past[0], key), behind(past[1], value)
        mixed = join_heads(
            attention(query, key, value, mask, self.scale, self.probabilities, "attention" not in self.plain)
        )
        x = x + self.output(mixed)
        return x + self.feed(self.attention_norm(x))

    def feed(self, x):
        """The feed-forward part without its norm and residual."""
        gate, up = self.gate(x), self.up(x)
        return self.down(F.silu(gate) * up if "fused" in self.plain else fused.swiglu(gate, up))

    def cached(self, x, mask, turns, keys, values, slots, reads, past=None):
        """The same for new positions alone; the arguments are those of `mindspore_impl.models.gpt2.GPT2Block.cached`."""
        batch = mask.shape[0]
        query, key, value = self.projected(self.input_norm(x), batch, turns)
        if reads:
            line, shape = (-1, self.width), (batch, self.pairs, -1, self.width)
            key = ops.reshape(_write(keys, slots, ops.reshape(key, line)), shape)
            value = ops.reshape(_write(values, slots, ops.reshape(value, line)), shape)
        else:
            if past is not None:
                key, value = behind(past[0], key), behind(past[1], value)
            _write(keys, slots, ops.reshape(key, (-1, self.width)))
            _write(values, slots, ops.reshape(value, (-1, self.width)))
        mixed = join_heads(attention(query, key, value, mask, self.scale, self.probabilities, False))
        x = x + self.output(mixed)
        return x + self.feed(self.attention_norm(x))


class Llama(nn.Cell):
    """Embedding, layers and the final norm."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__(auto_prefix=False)
        hidden, found = config["hidden_size"], sizes(config)
        self.heads, self.pairs, self.width = found.heads, found.pairs, found.width
        self.positions = config["max_position_embeddings"]
        self.window = FAMILIES.get(config["model_type"]).window(config)
        self.turns = tuple(rotary.frequencies(config, found.width).tolist())
        self.word = Embedding("model.embed_tokens", config["vocab_size"], hidden, padding_row(config))
        layers = [LlamaLayer(f"model.layers.{i}", config) for i in range(config["num_hidden_layers"])]
        self.blocks = nn.CellList(layers, auto_prefix=False)
        self.norm = RMSNorm("model.norm", hidden, config["rms_norm_eps"])

    def embed(self, input_ids):
        """``(batch * seq, hidden)``."""
        return self.word(F.reshape(input_ids, (-1,)))

    def mask(self, attention_mask, start=0):
        """Causal and padding mask, additive, ``(batch, heads, queries, seq)``, of the queries from ``start`` on."""
        batch, length = attention_mask.shape
        whole = ops.tile(causal(start, length), (batch, self.heads, 1, 1))
        padding = ops.tile(padding_mask(attention_mask, self.heads), (1, 1, length - start, 1))
        found = F.minimum(padding, whole)
        if self.window is not None:
            found = F.minimum(found, ops.tile(far(attention_mask, start, self.window), (1, self.heads, 1, 1)))
        return ops.stop_gradient(found)

    def turned_by(self, cosines, sines, batch, positions):
        """Tables ``(1 or batch, 1, positions, width)`` for queries and for keys, of the full shape."""
        copies = batch if cosines.shape[0] == 1 else 1
        found = ()
        for heads in (self.heads, self.pairs):
            for part in (cosines, sines):
                found = (*found, ops.stop_gradient(ops.tile(part, (copies, heads, 1, 1))))
        return found

    def in_order(self, batch, start, stop):
        """Of the positions from ``start`` to ``stop`` in every row."""
        cosines, sines = table(self.turns, start, stop)
        shape = (1, 1, stop - start, self.width)
        return self.turned_by(F.reshape(cosines, shape), F.reshape(sines, shape), batch, stop - start)

    def cached(self, input_ids, positions, mask, keys, values, slots, reads, past=None):
        """The final norm's output at the last new position, ``(rows, hidden)``; see `LlamaLayer.cached`.

        Args:
            input_ids, positions: ``(rows, new)``.
            keys, values: one parameter for each layer.
        """
        batch, new = input_ids.shape
        cosines, sines = table(self.turns, 0, mask.shape[3])
        wanted, shape = F.reshape(positions, (-1,)), (batch, 1, new, self.width)
        cosines, sines = ops.gather(cosines, wanted, 0), ops.gather(sines, wanted, 0)
        turns = self.turned_by(F.reshape(cosines, shape), F.reshape(sines, shape), batch, new)
        x = self.embed(input_ids)
        for index in range(len(self.blocks)):
            before = of_layer(past, index)
            x = self.blocks[index].cached(x, mask, turns, keys[index], values[index], slots, reads, before)
        if new > 1:
            x = F.reshape(x, (batch, new, -1))[:, new - 1]
        return self.norm(x)

    def construct(self, input_ids, attention_mask, past=None):
        batch, stop = attention_mask.shape
        start = stop - input_ids.shape[1]
        x, mask, turns = self.embed(input_ids), self.mask(attention_mask, start), self.in_order(batch, start, stop)
        for index in range(len(self.blocks)):
            x = self.blocks[index](x, mask, turns, of_layer(past, index))
        return self.norm(x)


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Which of ``config`` the cells do not have; None where they have all."""
    if config["hidden_act"] not in ("silu", "swish"):
        return f"the activation here is silu; config.json says {config['hidden_act']!r}"
    return None


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The decoder, its parameters zero, to be filled by the caller."""
    return Llama(config)


def states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The output of the final norm, ``(batch * seq, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], past_of(batch))


def hidden_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """The embeddings and every layer's output, each ``(batch * seq, hidden)``; the last one after the final norm."""
    past, (rows, stop) = past_of(batch), batch["attention_mask"].shape
    start = stop - batch["input_ids"].shape[1]
    found, mask = [model.embed(batch["input_ids"])], model.mask(batch["attention_mask"], start)
    turns = model.in_order(rows, start, stop)
    for index in range(len(model.blocks)):
        found.append(model.blocks[index](found[-1], mask, turns, of_layer(past, index)))
    found[-1] = model.norm(found[-1])
    return found


def cached_states(model: nn.Cell, kept: dict[Any, Any] | None) -> nn.Cell:
    """What reads new tokens beside the keys and values of those before (`mindspore_impl.decoding`)."""
    return model
