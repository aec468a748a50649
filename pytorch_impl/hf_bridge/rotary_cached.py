"""Llama's layers from `transformers`, read piece by piece, as `pytorch_impl.hf_bridge.cached` reads GPT-2's."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from pytorch_impl.hf_bridge.cached import Write
from pytorch_impl.hf_bridge.packed import layer
from pytorch_impl.layers.rotary import turned

__all__ = ["Reader"]


class Reader:
    """Computes the states of new tokens from their keys and values and those of the tokens before. Keys and values stay
    as they are where groups of heads share them.

    Args:
        backbone: a ``LlamaModel`` or a relative with its ``window``, some of whose modules may have been replaced.
        kept: what is used again as long as the parameters are the same.
    """

    def __init__(self, backbone: nn.Module, kept: dict[Any, Any] | None):
        config = backbone.config
        self.positions, self.layers = config.max_position_embeddings, len(backbone.layers)
        self.window = backbone.window
        self._words, self._norm, self._rotary = backbone.embed_tokens, backbone.norm, backbone.rotary_emb
        self._layers = [_Layer(found, kept) for found in backbone.layers]

    def __call__(
        self, input_ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None, write: Write
    ) -> torch.Tensor:
        """The final norm's output at the last column, ``(rows, hidden)``; see `pytorch_impl.hf_bridge.cached.Reader`."""
        rows, columns = input_ids.shape
        x = self._words(input_ids)
        turns = self._rotary(x, positions)  # each (rows, columns, width)
        x = x.flatten(0, 1)
        for number, found in enumerate(self._layers):
            query, pairs = found.projected(x, rows, columns, turns)
            keys, values = write(number, pairs)
            x = x + found.mixed(query, keys, values, mask)
            x = x + found.feed(x)
        return self._norm(x.view(rows, columns, -1)[:, -1])


class _Layer:
    """One layer of a decoder, with what its linear layers are computed by."""

    def __init__(self, block: nn.Module, kept: dict[Any, Any] | None):
        attention, inner = block.self_attn, block.mlp
        self._before, self._after, self._activate = block.input_layernorm, block.post_attention_layernorm, inner.act_fn
        self._width, self._scale = attention.head_dim, attention.scaling
        self._norms = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        names = ("q_proj", "k_proj", "v_proj", "o_proj")
        self._query, self._key, self._value, self._mix = (layer(getattr(attention, name), kept) for name in names)
        names = ("gate_proj", "up_proj", "down_proj")
        self._gate, self._up, self._down = (layer(getattr(inner, name), kept) for name in names)

    def projected(
        self, x: torch.Tensor, rows: int, columns: int, turns: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries ``(rows, heads, columns, width)``, and keys and values ``(2, rows, pairs, columns, width)``."""
        x = self._before(x)
        cosines, sines = (turn[:, None] for turn in turns)
        found = []
        for project, norm in ((self._query, self._norms[0]), (self._key, self._norms[1])):
            heads = project(x).view(rows, columns, -1, self._width)
            heads = (heads if norm is None else norm(heads)).transpose(1, 2)
            found.append(turned(heads, cosines, sines))
        value = self._value(x).view(rows, columns, -1, self._width).transpose(1, 2)
        return found[0], torch.stack([found[1], value.to(found[1].dtype)])

    def mixed(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """The attention's output, ``(rows * columns, hidden)``. The heads of a group are the queries of one head."""
        rows, heads, columns, width = query.shape
        pairs = keys.shape[1]
        groups = heads // pairs
        query = query.reshape(rows, pairs, groups * columns, width)
        added = mask if mask is None else mask.to(query.dtype)
        if added is not None and added.shape[2] > 1:
            added = added.repeat(1, 1, groups, 1)
        mixed = scaled_dot_product_attention(query, keys, values, attn_mask=added, scale=self._scale)
        mixed = mixed.view(rows, heads, columns, width).transpose(1, 2)
        return self._mix(mixed.reshape(rows * columns, -1))

    def feed(self, x: torch.Tensor) -> torch.Tensor:
        """The feed-forward part with its norm, without its residual."""
        x = self._after(x)
        return self._down(self._activate(self._gate(x)) * self._up(x))
