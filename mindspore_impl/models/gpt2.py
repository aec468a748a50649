"""Mirrors pytorch_impl.models.gpt2; differs: native cells that load the same Hugging Face weights, hidden states two-dimensional."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from common.errors import InputError
from mindspore_impl import functional as F
from mindspore_impl import fused
from mindspore_impl.attention import attention, join_heads, split_heads
from mindspore_impl.dropout import Dropout
from mindspore_impl.loss import token_loss_sum
from mindspore_impl.modules import Conv1D, Embedding, LayerNorm, Linear, padding_mask

__all__ = ["build", "hidden_states", "logits", "loss_sum"]

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

    def construct(self, x, mask):
        # F.split gives views, of which the products that follow are slower: 4 % of a training step on the CPU.
        query, key, value = ops.split(self.c_attn(self.ln_1(x)), self.hidden, 1)
        batch, heads = mask.shape[:2]
        query, key, value = (
            split_heads(query, batch, heads),
            split_heads(key, batch, heads),
            split_heads(value, batch, heads),
        )
        mixed = join_heads(
            attention(query, key, value, mask, self.scale, self.probabilities, "attention" not in self.plain)
        )
        x = x + self.attn_dropout(self.attn_proj(mixed))
        inner = self.c_fc(self.ln_2(x))
        inner = F.gelu(inner, self.approximate) if "fused" in self.plain else fused.gelu(inner, self.approximate)
        return x + self.mlp_dropout(self.mlp_proj(inner))


class GPT2(nn.Cell):
    """Decoder with the tied language-model head, or with a classification head ``score``."""

    def __init__(self, config: Mapping[str, Any], task: str):
        super().__init__(auto_prefix=False)
        hidden, positions = config["n_embd"], config["n_positions"]
        self.heads, self.plain = config["n_head"], ()
        self.wte = Embedding("transformer.wte", config["vocab_size"], hidden)
        self.wpe = Embedding("transformer.wpe", positions, hidden)
        self.dropout = Dropout("transformer.drop", config["embd_pdrop"])
        self.blocks = nn.CellList(
            [GPT2Block(f"transformer.h.{i}", config) for i in range(config["n_layer"])], auto_prefix=False
        )
        self.ln_f = LayerNorm("transformer.ln_f", hidden, config["layer_norm_epsilon"])
        self.classifies = task == "sequence-classification"
        self.score = Linear("score", hidden, config["num_labels"], bias=False) if self.classifies else None
        self.tied = self.wte  # the head's weight stays the base embedding when wte is adapted
        self.causal = Tensor(np.triu(np.full((positions, positions), -1e30, np.float32), 1))

    def embed(self, input_ids):
        """``(batch * seq, hidden)``."""
        batch, length = input_ids.shape
        x = self.wte(F.reshape(input_ids, (-1,))) + ops.tile(self.wpe(F.arange(length).astype(ms.int32)), (batch, 1))
        return self.dropout(x)

    def mask(self, attention_mask):
        """Causal and padding mask, additive, ``(batch, heads, seq, seq)``."""
        batch, length = attention_mask.shape
        causal = ops.tile(F.reshape(self.causal[:length, :length], (1, 1, length, length)), (batch, self.heads, 1, 1))
        return ops.stop_gradient(
            F.minimum(ops.tile(padding_mask(attention_mask, self.heads), (1, 1, length, 1)), causal)
        )

    def states(self, input_ids, attention_mask):
        """The hidden states after the final norm, ``(batch * seq, hidden)``."""
        x = self.embed(input_ids)
        mask = self.mask(attention_mask)
        for block in self.blocks:
            x = block(x, mask)
        return self.ln_f(x)

    def construct(self, input_ids, attention_mask, positions=None):
        batch, length = input_ids.shape
        x = self.states(input_ids, attention_mask)
        if self.classifies:
            positions = attention_mask.sum(-1).astype(ms.int32) - 1
        if positions is not None:
            x = F.index_select(x, 0, F.arange(batch).astype(ms.int32) * length + positions)  # (batch, hidden)
        if self.classifies:
            return self.score(x)
        y = F.linear(x, self.tied.weight)
        return y if positions is not None else F.reshape(y, (batch, length, -1))


def build(config: Mapping[str, Any], task: str) -> nn.Cell:
    """The network, its parameters zero, to be filled by the caller.

    Raises:
        InputError: the configuration asks for an activation or an attention variant that the cells do not have.
    """
    if config["activation_function"] not in _APPROXIMATE:
        known = ", ".join(_APPROXIMATE)
        raise InputError(
            f"The MindSpore GPT-2 has the activations {known}; config.json says {config['activation_function']!r}. Use --backend pytorch."
        )
    for key in ("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"):
        if config.get(key):
            raise InputError(f"The MindSpore GPT-2 has no {key}; config.json asks for it. Use --backend pytorch.")
    if not config.get("scale_attn_weights", True) or not config.get("tie_word_embeddings", True):
        raise InputError(
            "The MindSpore GPT-2 scales attention and ties its head to the embedding; config.json says otherwise. Use --backend pytorch."
        )
    return GPT2(config, task)


def logits(model: nn.Cell, batch: Mapping[str, Tensor], positions: Tensor | None = None) -> Tensor:
    """``(batch, seq, vocabulary)``, ``(batch, vocabulary)`` at ``positions``, or class logits ``(batch, labels)``."""
    return model(batch["input_ids"], batch["attention_mask"], positions)


def hidden_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``; the last one after the final norm."""
    states = [model.embed(batch["input_ids"])]
    mask = model.mask(batch["attention_mask"])
    for block in model.blocks:
        states.append(block(states[-1], mask))
    states[-1] = model.ln_f(states[-1])
    return [F.reshape(state, (*batch["input_ids"].shape, -1)) for state in states]


def loss_sum(model: nn.Cell, batch: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the cross-entropy over the scored labels, and the class logits ``(batch, labels)``; of a language model, which forms no logits, the sum alone."""
    if model.classifies:
        found = logits(model, batch)
        return F.cross_entropy_sum(found, batch["labels"]), found
    hidden = model.states(batch["input_ids"], batch["attention_mask"])
    by_hand = differentiable and not model.tied.trained and "loss" not in model.plain
    return (token_loss_sum(hidden, model.tied.weight, F.reshape(batch["labels"], (-1,)), by_hand),)
