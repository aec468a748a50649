"""Attention (Vaswani et al. 2017) and the encoder's layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl.shims.activation import gelu
from mindspore_impl.shims.checks import check_shape
from mindspore_impl.shims.network import dropout, linear
from mindspore_impl.shims.nn.base import Module, bell, constant, uniform
from mindspore_impl.shims.nn.linear import Linear
from mindspore_impl.shims.nn.normalization import LayerNorm
from mindspore_impl.shims.softmax import softmax

__all__ = ["MultiheadAttention", "TransformerDecoderLayer", "TransformerEncoderLayer"]


def _additive(mask: Tensor) -> Tensor:
    """-inf where a boolean mask is set; a float mask as it is."""
    return ops.where(mask, -math.inf, 0.0).astype(ms.float32) if mask.dtype == ms.bool_ else mask


def _widened(mask: Tensor, length: int) -> Tensor:
    """What is added to the sequences is seen by all."""
    more = length - mask.shape[-1]
    return ops.cat((mask, ops.zeros((*mask.shape[:-1], more), mask.dtype)), -1) if more > 0 else mask


class MultiheadAttention(Module):
    """softmax(q k^T / sqrt(d) + mask) v per head. ``add_bias_kv`` and ``add_zero_attn`` add a learned key and value, and
    one of zeros, to each sequence."""

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
    ):
        super().__init__()
        self.num_heads, self.dropout, self.batch_first = num_heads, dropout, batch_first
        self.joint = kdim in (None, embed_dim) and vdim in (None, embed_dim)
        if self.joint:
            self.in_proj_weight = uniform(math.sqrt(6.0 / (4 * embed_dim)), 3 * embed_dim, embed_dim)
        else:
            for name, width in (("q", embed_dim), ("k", kdim or embed_dim), ("v", vdim or embed_dim)):
                setattr(self, f"{name}_proj_weight", uniform(math.sqrt(6.0 / (embed_dim + width)), embed_dim, width))
        self.in_proj_bias = constant(0.0, 3 * embed_dim) if bias else None
        self.add_zero_attn = add_zero_attn
        self.bias_k = bell(math.sqrt(1.0 / embed_dim), 1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = bell(math.sqrt(1.0 / embed_dim), 1, 1, embed_dim) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        if bias:
            self.out_proj.bias.set_data(ops.zeros(embed_dim, ms.float32))

    def construct(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> Any:
        single = query.ndim == 2
        if single:
            query, key, value = ops.expand_dims(query, 0), ops.expand_dims(key, 0), ops.expand_dims(value, 0)
        elif not self.batch_first:
            query, key, value = (
                ops.transpose(query, (1, 0, 2)),
                ops.transpose(key, (1, 0, 2)),
                ops.transpose(value, (1, 0, 2)),
            )
        batch, length, width = query.shape
        if key.shape[0] != batch or key.shape[:2] != value.shape[:2]:
            raise ValueError(
                f"attention: key and value must have one length and the query's batch; received {query.shape}, {key.shape} "
                f"and {value.shape} (batch first)."
            )
        if attn_mask is not None:
            shape = (length, key.shape[1]) if attn_mask.ndim == 2 else (batch * self.num_heads, length, key.shape[1])
            check_shape("attention", "attn_mask", attn_mask, shape)
        if key_padding_mask is not None:
            check_shape("attention", "key_padding_mask", key_padding_mask, key.shape[1:2] if single else key.shape[:2])
        q, k, v = self.heads(query, 0), self.heads(key, 1), self.heads(value, 2)
        k, v = self.lengthened(k, self.bias_k), self.lengthened(v, self.bias_v)
        scores = ops.matmul(q * math.sqrt(self.num_heads / width), ops.transpose(k, (0, 1, 3, 2)))
        if attn_mask is not None:
            mask = _widened(_additive(attn_mask), k.shape[2])
            scores = scores + (ops.reshape(mask, scores.shape) if mask.ndim == 3 else mask)
        if key_padding_mask is not None:
            padding = _widened(_additive(key_padding_mask), k.shape[2])
            scores = scores + ops.reshape(padding, (batch, 1, 1, scores.shape[-1]))
        weights = dropout(softmax(scores, -1), self.dropout, self.training)
        mixed = ops.reshape(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), (batch, length, width))
        output = self.out_proj(mixed)
        if not self.batch_first and not single:
            output = ops.transpose(output, (1, 0, 2))
        if average_attn_weights:
            weights = weights.mean(1)
        if single:
            output, weights = output[0], weights[0]
        return output, weights if need_weights else None

    def lengthened(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Keys or values of each head with what is added to each sequence."""
        batch, heads, _, width = x.shape
        if bias is not None:
            x = ops.cat((x, ops.broadcast_to(ops.reshape(bias, (1, heads, 1, width)), (batch, heads, 1, width))), 2)
        return ops.cat((x, ops.zeros((batch, heads, 1, width), x.dtype)), 2) if self.add_zero_attn else x

    def heads(self, x: Tensor, part: int) -> Tensor:
        """Projection to ``(batch, heads, length, width)``."""
        width = self.out_proj.in_features
        start, end = part * width, (part + 1) * width
        weight = (
            self.in_proj_weight[start:end]
            if self.joint
            else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[part]
        )
        y = linear(x, weight, None if self.in_proj_bias is None else self.in_proj_bias[start:end])
        return ops.transpose(ops.reshape(y, (*x.shape[:2], self.num_heads, -1)), (0, 2, 1, 3))


class _TransformerLayer(Module):
    """What both layers have."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ):
        super().__init__()
        self.p, self.norm_first = dropout, norm_first
        self.activation = {"relu": ops.relu, "gelu": gelu}[activation] if isinstance(activation, str) else activation
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)

    def drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.drop(self.linear2(self.drop(self.activation(self.linear1(x)))))

    def attend(self, x: Tensor, mask: Tensor | None, padding: Tensor | None) -> Tensor:
        return self.drop(self.self_attn(x, x, x, padding, False, mask)[0])


class TransformerEncoderLayer(_TransformerLayer):
    """Attention and two linear layers, each with a residual connection and layer norm."""

    def construct(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        if self.norm_first:
            x = src + self.attend(self.norm1(src), src_mask, src_key_padding_mask)
            return x + self.feed_forward(self.norm2(x))
        x = self.norm1(src + self.attend(src, src_mask, src_key_padding_mask))
        return self.norm2(x + self.feed_forward(x))


class TransformerDecoderLayer(_TransformerLayer):
    """As the encoder's layer, with attention to the encoder's output between."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ):
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias
        )
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias)

    def construct(
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
        if self.norm_first:
            x = tgt + self.attend(self.norm1(tgt), tgt_mask, tgt_key_padding_mask)
            x = x + self.look(self.norm2(x), memory, memory_mask, memory_key_padding_mask)
            return x + self.feed_forward(self.norm3(x))
        x = self.norm1(tgt + self.attend(tgt, tgt_mask, tgt_key_padding_mask))
        x = self.norm2(x + self.look(x, memory, memory_mask, memory_key_padding_mask))
        return self.norm3(x + self.feed_forward(x))

    def look(self, x: Tensor, memory: Tensor, mask: Tensor | None, padding: Tensor | None) -> Tensor:
        return self.drop(self.multihead_attn(x, memory, memory, padding, False, mask)[0])
