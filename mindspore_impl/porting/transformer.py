"""Stacks of Transformer layers, as `torch.nn.TransformerEncoder` and `torch.nn.TransformerDecoder`."""

from __future__ import annotations

import copy
from typing import Any

from mindspore import Tensor, nn

__all__ = ["TransformerDecoder", "TransformerEncoder"]


class _Stack(nn.Cell):
    def __init__(self, layer: nn.Cell, num_layers: int, norm: nn.Cell | None):
        super().__init__()
        self.set_train()
        self.layers = nn.CellList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm


class TransformerEncoder(_Stack):
    """Copies of an encoder layer, one after the other.

    Args:
        encoder_layer: a layer, which is copied.
        norm: applied to the result.
        enable_nested_tensor: changes nothing; torch's fast path computes the same.
        mask_check: the same.
    """

    def __init__(
        self,
        encoder_layer: nn.Cell,
        num_layers: int,
        norm: nn.Cell | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        super().__init__(encoder_layer, num_layers, norm)

    def construct(self, src: Tensor, mask: Any = None, src_key_padding_mask: Any = None, is_causal: Any = None):
        causal = bool(is_causal) if is_causal is not None else False
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(_Stack):
    """Copies of a decoder layer, one after the other.

    Args:
        decoder_layer: a layer, which is copied.
        norm: applied to the result.
    """

    def __init__(self, decoder_layer: nn.Cell, num_layers: int, norm: nn.Cell | None = None):
        super().__init__(decoder_layer, num_layers, norm)

    def construct(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
    ):
        for layer in self.layers:
            tgt = layer(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return tgt if self.norm is None else self.norm(tgt)
