"""GPT-2's blocks from `transformers`, read piece by piece: a step is about ten calls a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from pytorch_impl.hf_bridge.packed import Layer, layer

__all__ = ["Reader", "reader"]

Write = Callable[[int, torch.Tensor], torch.Tensor]


class Reader:
    """Computes the states of new tokens from their keys and values and those of the tokens before.

    Args:
        backbone: a ``GPT2Model``, some of whose modules may have been replaced.
        kept: what is used again as long as the parameters are the same.
    """

    def __init__(self, backbone: nn.Module, kept: dict[Any, Any] | None):
        self.positions, self.layers, self.window = backbone.config.n_positions, len(backbone.h), None
        self._heads = backbone.config.n_head
        self._words, self._places, self._norm = backbone.wte, backbone.wpe, backbone.ln_f
        self._blocks = [_block(block, kept) for block in backbone.h]

    def __call__(
        self, input_ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None, write: Write
    ) -> torch.Tensor:
        """The final norm's output at the last column, ``(rows, hidden)``.

        Args:
            input_ids, positions: ``(rows, columns)``.
            mask: additive, ``(rows, 1, 1 or columns, columns so far)``.
            write: takes in a layer's new keys and values, ``(2, rows, heads, columns, width)``, and returns those of
                all columns so far.
        """
        rows, columns = input_ids.shape
        x = (self._words(input_ids) + self._places(positions)).flatten(0, 1)  # (rows * columns, hidden)
        for number, (before, fused, mix, after, feed, scale) in enumerate(self._blocks):
            pairs = fused(before(x)).view(rows, columns, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            keys, values = write(number, pairs[1:])
            added = mask if mask is None else mask.to(pairs.dtype)
            mixed = scaled_dot_product_attention(pairs[0], keys, values, attn_mask=added, scale=scale)
            x = x + mix(mixed.transpose(1, 2).reshape(rows * columns, -1))
            x = x + feed(after(x))
        return self._norm(x.view(rows, columns, -1)[:, -1])


def reader(backbone: nn.Module, kept: dict[Any, Any] | None) -> Reader | None:
    """None where the configuration asks for what `Reader` does not compute."""
    config = backbone.config
    return None if config.add_cross_attention or config.reorder_and_upcast_attn else Reader(backbone, kept)


def _block(block: nn.Module, kept: dict[Any, Any] | None) -> tuple[nn.Module, Layer, Layer, nn.Module, Layer, float]:
    attention, inner = block.attn, block.mlp
    wide, narrow, activate = layer(inner.c_fc, kept), layer(inner.c_proj, kept), inner.act
    return (
        block.ln_1,
        layer(attention.c_attn, kept),
        layer(attention.c_proj, kept),
        block.ln_2,
        lambda x: narrow(activate(wide(x))),
        attention.scaling,
    )
