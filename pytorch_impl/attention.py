"""Attention whose probabilities are never kept: the backward pass computes them again, mask of the dropout included. Registered with `transformers`."""

from __future__ import annotations

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from pytorch_impl.dropout import ATTENTION, Dropout, Mask

__all__ = ["attention"]

PIECE = 2**21  #: probabilities that exist at once, 8 MiB in float32


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float, dropout: Dropout, by_hand: bool = True
) -> torch.Tensor:
    """softmax(q k^T scale + mask) v (Vaswani et al. 2017, eq. 1), per head, with counted dropout of the probabilities.

    Args:
        query: ``(batch, heads, queries, width)``.
        key, value: ``(batch, heads, seq, width)``.
        mask: additive, broadcastable to ``(batch, heads, queries, seq)``; gets no gradient by hand.
        by_hand: compute the probabilities again in the backward pass, instead of keeping them.

    Returns:
        ``(batch, heads, queries, width)``.
    """
    if by_hand:
        return _Attention.apply(query, key, value, mask, scale, dropout.mask((*query.shape[:3], key.shape[2])))
    scores = torch.matmul(query, key.transpose(2, 3)) * scale
    return torch.matmul(dropout(torch.softmax(scores if mask is None else scores + mask, -1)), value)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, mask, scale, dropped):
        ctx.save_for_backward(query, key, value, mask)
        ctx.scale, ctx.dropped = scale, dropped
        mixed = torch.empty_like(query)
        for part, _, kept in _pieces(query, key, mask, scale, dropped):
            torch.matmul(kept.to(value.dtype), value[part], out=mixed[part])
        return mixed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        query, key, value, mask = ctx.saved_tensors
        by_query, by_key, by_value = (torch.empty_like(x) for x in (query, key, value))
        for part, probabilities, kept in _pieces(query, key, mask, ctx.scale, ctx.dropped):
            g = gradient[part]
            torch.matmul(kept.to(g.dtype).transpose(2, 3), g, out=by_value[part])
            by_probabilities = torch.matmul(g, value[part].transpose(2, 3)).to(probabilities.dtype)
            if ctx.dropped is not None:
                by_probabilities = ctx.dropped.rows(part, query.shape)(by_probabilities)
            by_scores = torch._softmax_backward_data(by_probabilities, probabilities, -1, probabilities.dtype).mul_(ctx.scale).to(query.dtype)
            torch.matmul(by_scores, key[part], out=by_query[part])
            torch.matmul(by_scores.transpose(2, 3), query[part], out=by_key[part])
        return by_query, by_key, by_value, None, None, None


def _pieces(query, key, mask, scale, dropped: Mask | None):
    """Some of the batch at a time: which, the probabilities (float32 at least), and these after the dropout."""
    batch, heads, queries, _ = query.shape
    size = max(1, PIECE // (heads * queries * key.shape[2]))
    for start in range(0, batch, size):
        part = slice(start, min(start + size, batch))
        scores = torch.matmul(query[part], key[part].transpose(2, 3)).to(torch.promote_types(query.dtype, torch.float32)).mul_(scale)
        if mask is not None:
            scores += mask if mask.shape[0] == 1 else mask[part]
        probabilities = torch.softmax(scores, -1)
        yield part, probabilities, probabilities if dropped is None else dropped.rows(part, query.shape)(probabilities)


def _attend(module: nn.Module, query, key, value, attention_mask, scaling=None, dropout=0.0, position_bias=None, **options):
    """What `transformers` calls: attention with counted dropout; without dropout, what torch does itself where that is fast. All
    ``(batch, heads, seq, width)``. On CPUs torch's backward pass in bfloat16 takes several times as long as `attention`'s.
    """
    slow = query.device.type == "cpu" and query.dtype == torch.bfloat16
    if not module.training or (dropout == 0.0 and not slow):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, position_bias=position_bias, **options)
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) if groups > 1 else x for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    module.probabilities.p = dropout
    by_hand = position_bias is None and "attention" not in getattr(module, "plain", ())  # a position bias may be trained
    added = [x for x in (position_bias, attention_mask) if x is not None]
    mixed = attention(query, key, value, sum(added) if added else None, scale, module.probabilities, by_hand)
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, eager_mask)
