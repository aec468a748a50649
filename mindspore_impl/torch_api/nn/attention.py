"""Attention and the layers of the transformer (Vaswani et al. 2017)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from mindspore_impl.torch_api.nn import functional as F
from mindspore_impl.torch_api.nn import init
from mindspore_impl.torch_api.nn.containers import ModuleList
from mindspore_impl.torch_api.nn.linear import Linear, empty_parameter
from mindspore_impl.torch_api.nn.module import Module
from mindspore_impl.torch_api.nn.normalization import LayerNorm
from mindspore_impl.torch_api.nn.stateless import stateless
from mindspore_impl.torch_api.tensor import Tensor

__all__ = [
    "MultiheadAttention", "Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer",
]  # fmt: skip

Dropout = stateless()["Dropout"]


def _additive(mask: Tensor | None, kind: Any) -> Tensor | None:
    """-inf where a boolean mask is set; another mask as it is."""
    if mask is None or mask.dtype.name != "bool":
        return mask
    return mask.new_zeros(mask.shape, dtype=kind).masked_fill(mask, -math.inf)


def _longer(mask: Tensor | None, added: int) -> Tensor | None:
    """A mask that hides none of the ``added`` last keys."""
    from mindspore_impl.torch_api import cat

    return mask if mask is None or not added else cat([mask, mask.new_zeros((*mask.shape[:-1], added))], -1)


class MultiheadAttention(Module):
    """softmax(q k^T / sqrt(d) + mask) v per head."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.head_dim = embed_dim // num_heads
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        made = {"device": device, "dtype": dtype}
        joint, parts = self._qkv_same_embed_dim, (("q", embed_dim), ("k", self.kdim), ("v", self.vdim))
        for name, width in parts:
            weight = None if joint else empty_parameter(embed_dim, width, **made)
            self.register_parameter(f"{name}_proj_weight", weight)
        self.register_parameter("in_proj_weight", empty_parameter(3 * embed_dim, embed_dim, **made) if joint else None)
        self.register_parameter("in_proj_bias", empty_parameter(3 * embed_dim, **made) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, **made)
        self.add_zero_attn = add_zero_attn
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, empty_parameter(1, 1, embed_dim, **made) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def _lengthened(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Keys or values ``(batch, heads, length, width)`` with those of `add_bias_kv` and `add_zero_attn` behind."""
        from mindspore_impl.torch_api import cat

        batch, heads, _, width = x.shape
        if bias is not None:
            x = cat([x, bias.view(1, heads, 1, width).expand(batch, heads, 1, width)], 2)
        return cat([x, x.new_zeros((batch, heads, 1, width))], 2) if self.add_zero_attn else x

    def _heads(self, x: Tensor, part: int) -> Tensor:
        """Projection of ``(batch, length, width)`` to ``(batch, heads, length, width of a head)``."""
        start, end = part * self.embed_dim, (part + 1) * self.embed_dim
        weight = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[part]
        if weight is None:
            weight = self.in_proj_weight[start:end]
        y = F.linear(x, weight, None if self.in_proj_bias is None else self.in_proj_bias[start:end])
        return y.view(x.size(0), x.size(1), self.num_heads, self.head_dim).transpose(1, 2)

    def _check(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Any, key_padding_mask: Any) -> None:
        """Refuse sizes that would be broadcast; everything batch first."""
        if key.shape[:2] != value.shape[:2] or key.size(0) != query.size(0):
            raise RuntimeError(
                f"key shape {key.shape} does not match value shape {value.shape} or query shape {query.shape}"
            )
        ends = (query.size(1), key.size(1))
        for name, mask, wanted in (
            (
                "attn_mask",
                attn_mask,
                ends if attn_mask is not None and attn_mask.ndim == 2 else (query.size(0) * self.num_heads, *ends),
            ),
            ("key_padding_mask", key_padding_mask, (key.size(0), key.size(1))),
        ):
            if mask is not None and tuple(mask.shape) != wanted:
                raise RuntimeError(f"The shape of {name} is {tuple(mask.shape)}, but should be {wanted}")

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The mixed values, and the weights if they are needed."""
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        single = query.ndim == 2
        if single:
            query, key, value = query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        batch, length, _ = query.shape
        self._check(query, key, value, attn_mask, None if single else key_padding_mask)
        q, k, v = self._heads(query, 0), self._heads(key, 1), self._heads(value, 2)
        given = k.size(2)
        k, v = self._lengthened(k, self.bias_k), self._lengthened(v, self.bias_v)
        added = k.size(2) - given
        scores = (q * math.sqrt(1.0 / self.head_dim)) @ k.transpose(-2, -1)
        mask = _longer(_additive(attn_mask, q.dtype), added)
        if mask is not None:
            scores = scores + (mask.view(scores.shape) if mask.ndim == 3 else mask)
        padding = _longer(_additive(key_padding_mask, q.dtype), added)
        if padding is not None:
            scores = scores + padding.view(batch, 1, 1, scores.size(-1))
        weights = F.dropout(F.softmax(scores, -1), self.dropout, self.training)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, length, self.embed_dim)
        output = self.out_proj(mixed)
        if not need_weights:
            weights = None
        elif average_attn_weights:
            weights = weights.mean(1)
        if single:
            output, weights = output.squeeze(0), None if weights is None else weights.squeeze(0)
        elif not self.batch_first:
            output = output.transpose(0, 1)
        return output, weights


def _activation(given: Any) -> Callable[[Tensor], Tensor]:
    if not isinstance(given, str):
        return given
    if given not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {given}")
    return {"relu": F.relu, "gelu": F.gelu}[given]


class _Layer(Module):
    """What both layers have."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self._made = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **self._made)
        self._second_attention(d_model, nhead, dropout, bias, batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **self._made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **self._made)
        self.norm_first = norm_first
        for number in range(1, self.norms + 1):
            setattr(self, f"norm{number}", LayerNorm(d_model, layer_norm_eps, bias=bias, **self._made))
        for number in range(1, self.norms + 1):
            setattr(self, f"dropout{number}", Dropout(dropout))
        self.activation = _activation(activation)

    norms = 2

    def _second_attention(self, d_model: int, nhead: int, dropout: float, bias: bool, batch_first: bool) -> None:
        """The decoder's attention to the encoder, in torch's place among the modules."""

    def _attend(self, x: Tensor, mask: Tensor | None, padding: Tensor | None) -> Tensor:
        found, _ = self.self_attn(x, x, x, padding, False, mask)
        return self.dropout1(found)

    def _feed(self, x: Tensor, dropout: Module) -> Tensor:
        return dropout(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoderLayer(_Layer):
    """Attention and two linear layers, each with a residual connection and layer norm."""

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        if self.norm_first:
            x = src + self._attend(self.norm1(src), src_mask, src_key_padding_mask)
            return x + self._feed(self.norm2(x), self.dropout2)
        x = self.norm1(src + self._attend(src, src_mask, src_key_padding_mask))
        return self.norm2(x + self._feed(x, self.dropout2))


class TransformerDecoderLayer(_Layer):
    """As the encoder's layer, with attention to the encoder's output between."""

    norms = 3

    def _second_attention(self, d_model: int, nhead: int, dropout: float, bias: bool, batch_first: bool) -> None:
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **self._made)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def look(x: Tensor) -> Tensor:
            return self.dropout2(self.multihead_attn(x, memory, memory, memory_key_padding_mask, False, memory_mask)[0])

        if self.norm_first:
            x = tgt + self._attend(self.norm1(tgt), tgt_mask, tgt_key_padding_mask)
            x = x + look(self.norm2(x))
            return x + self._feed(self.norm3(x), self.dropout3)
        x = self.norm1(tgt + self._attend(tgt, tgt_mask, tgt_key_padding_mask))
        x = self.norm2(x + look(x))
        return self.norm3(x + self._feed(x, self.dropout3))


class TransformerEncoder(Module):
    """Layers of an encoder."""

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Layers of a decoder."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        for layer in self.layers:
            tgt = layer(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder and a decoder."""

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        made = (
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            device,
            dtype,
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias)
            self.encoder = TransformerEncoder(TransformerEncoderLayer(*made), num_encoder_layers, norm)
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias)
            self.decoder = TransformerDecoder(TransformerDecoderLayer(*made), num_decoder_layers, norm)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        memory = self.encoder(src, src_mask, src_key_padding_mask)
        return self.decoder(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """-inf above the diagonal and 0 elsewhere."""
        from mindspore_impl.torch_api import full, triu

        return triu(full((sz, sz), -math.inf, device=device, dtype=dtype), diagonal=1)
