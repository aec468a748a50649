"""GPT-2's blocks from `transformers`, read piece by piece: a step is about ten calls a layer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from pytorch_impl.layers.modules import Conv1D, Linear, product

__all__ = ["Reader", "reader"]

Layer = Callable[[torch.Tensor], torch.Tensor]
Write = Callable[[int, torch.Tensor], torch.Tensor]


class Reader:
    """Computes the states of new tokens from their keys and values and those of the tokens before.

    Args:
        backbone: a ``GPT2Model``, some of whose modules may have been replaced.
    """

    def __init__(self, backbone: nn.Module):
        self.positions, self.layers = backbone.config.n_positions, len(backbone.h)
        self._heads = backbone.config.n_head
        self._words, self._places, self._norm = backbone.wte, backbone.wpe, backbone.ln_f
        self._blocks = [_block(block) for block in backbone.h]

    def __call__(
        self, input_ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None, write: Write
    ) -> torch.Tensor:
        """The final norm's output at the last column, ``(rows, hidden)``.

        Args:
            input_ids, positions: ``(rows, columns)``.
            mask: additive, ``(rows, 1, 1 or columns, columns so far)``.
            write: takes in a layer's new keys and values, ``(2, rows, heads, columns, width)``, and returns those of all
                columns so far.
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


def reader(backbone: nn.Module) -> Reader | None:
    """None where the configuration asks for what `Reader` does not compute."""
    config = backbone.config
    return None if config.add_cross_attention or config.reorder_and_upcast_attn else Reader(backbone)


def _block(block: nn.Module) -> tuple[nn.Module, Layer, Layer, nn.Module, Layer, float]:
    attention, inner = block.attn, block.mlp
    wide, narrow, activate = _linear(inner.c_fc), _linear(inner.c_proj), inner.act
    return (
        block.ln_1,
        _linear(attention.c_attn),
        _linear(attention.c_proj),
        block.ln_2,
        lambda x: narrow(activate(wide(x))),
        attention.scaling,
    )


def _linear(module: nn.Module) -> Layer:
    """The module itself, or, of a plain one, the product that it computes, without autograd's bookkeeping."""
    if type(module) not in (Linear, Conv1D) or module.weight.dtype != torch.float32:
        return module
    weight = module.weight.T if isinstance(module, Conv1D) else module.weight
    fast = "products" not in module.plain
    return lambda x: module(x) if torch.is_autocast_enabled(x.device.type) else product(x, weight, module.bias, fast)
