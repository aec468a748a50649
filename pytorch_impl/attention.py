"""Attention with a backward pass by hand, registered with `transformers`: probabilities are kept where they are few, else computed again, mask of the
dropout included.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from common.errors import InputError
from pytorch_impl.dropout import ATTENTION, Dropout

__all__ = ["attention"]

KEPT = 2**22  #: probabilities of a layer that are kept, 16 MiB in float32
PIECE = 2**18  #: probabilities that are computed at once, and stay in the cache: 1 MiB
_REFUSED = ("softcap", "s_aux")  #: options of `transformers` that change the scores


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    dropout: Dropout,
    by_hand: bool = True,
) -> torch.Tensor:
    """softmax(q k^T scale + mask) v (Vaswani et al. 2017, eq. 1), per head, with counted dropout of the probabilities.

    Args:
        query: ``(batch, heads, queries, width)``.
        key, value: ``(batch, heads, seq, width)``.
        mask: additive, broadcastable to ``(batch, heads, queries, seq)``; gets no gradient by hand.
        by_hand: keep the probabilities if they are no more than `KEPT`; else compute them again in the backward pass, a `PIECE` at a time.

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
        ctx.shape, ctx.scale, ctx.dropped = query.shape, scale, dropped
        query, key, value = (x.reshape(-1, *x.shape[2:]) for x in (query, key, value))  # (batch * heads, seq, width)
        ctx.parts = _parts(ctx.shape, key)
        mixed, kept = torch.empty_like(query), []
        for part in ctx.parts:
            probabilities = _probabilities(query, key, mask, part, ctx)
            factor = _factor(probabilities, part, ctx)
            torch.bmm(
                (probabilities if factor is None else factor.mul_(probabilities)).to(value.dtype),
                value[part],
                out=mixed[part],
            )
            kept.append(probabilities if ctx.shape[:3].numel() * key.shape[1] <= KEPT else None)
        ctx.save_for_backward(query, key, value, mask, *kept)
        return mixed.view(ctx.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        query, key, value, mask, *kept = ctx.saved_tensors
        gradient = gradient.reshape(query.shape)
        by_query, by_key, by_value = (torch.empty_like(x) for x in (query, key, value))
        for part, probabilities in zip(ctx.parts, kept, strict=True):
            g = gradient[part]
            if probabilities is None:
                probabilities = _probabilities(query, key, mask, part, ctx)
            factor = _factor(probabilities, part, ctx)
            torch.bmm(
                (probabilities if factor is None else probabilities * factor).to(g.dtype).transpose(1, 2),
                g,
                out=by_value[part],
            )
            by_probabilities = torch.bmm(g, value[part].transpose(1, 2)).to(probabilities.dtype)
            if factor is not None:
                by_probabilities = by_probabilities.mul_(factor)
            by_scores = torch._softmax_backward_data(by_probabilities, probabilities, -1, probabilities.dtype).to(
                query.dtype
            )
            _scaled(by_scores, key[part], ctx.scale, by_query[part])
            _scaled(by_scores.transpose(1, 2), query[part], ctx.scale, by_key[part])
        return *(x.view(*ctx.shape[:2], *x.shape[1:]) for x in (by_query, by_key, by_value)), None, None, None


def _parts(shape: torch.Size, key: torch.Tensor) -> list[slice]:
    """Of the ``(batch * heads)``, some sequences at a time."""
    batch, heads, queries, _ = shape
    size = max(1, PIECE // (heads * queries * key.shape[1]))
    return [slice(start * heads, min(start + size, batch) * heads) for start in range(0, batch, size)]


def _probabilities(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, part: slice, ctx) -> torch.Tensor:
    """Of a part, ``(part, queries, seq)``, float32 at least."""
    scores = query.new_empty(part.stop - part.start, query.shape[1], key.shape[1])
    scores = _scaled(query[part], key[part].transpose(1, 2), ctx.scale, scores).to(
        torch.promote_types(query.dtype, torch.float32)
    )
    if mask is not None:
        heads = ctx.shape[1]
        scores.view(-1, heads, *scores.shape[1:]).add_(
            mask if mask.shape[0] == 1 else mask[part.start // heads : part.stop // heads]
        )
    return torch.softmax(scores, -1)


def _scaled(left: torch.Tensor, right: torch.Tensor, scale: float, out: torch.Tensor) -> torch.Tensor:
    return torch.baddbmm(out, left, right, beta=0, alpha=scale, out=out)


def _factor(x: torch.Tensor, part: slice, ctx) -> torch.Tensor | None:
    return (
        None if ctx.dropped is None else ctx.dropped.rows(part, (ctx.shape[0] * ctx.shape[1], *ctx.shape[2:])).factor(x)
    )


def _attend(
    module: nn.Module,
    query,
    key,
    value,
    attention_mask,
    scaling=None,
    dropout=0.0,
    is_causal=None,
    position_bias=None,
    **options,
):
    """What `transformers` calls: attention with counted dropout; without dropout, what torch does itself where that is fast. All
    ``(batch, heads, seq, width)``. On CPUs torch is slower for few probabilities, and its backward pass in bfloat16 takes several times as long.
    """
    if unknown := [name for name in _REFUSED if options.get(name) is not None]:
        raise InputError(
            f"Attention with {unknown[0]}, as {type(module).__name__} wants it, is not computed here. Use a model without it."
        )
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    count = (
        query.shape[:3].numel() * key.shape[2] * (2 if causal else 1)
    )  # torch's kernel leaves half of a causal mask out
    slow = query.device.type == "cpu" and (query.dtype == torch.bfloat16 or count <= KEPT)
    dropout = dropout if module.training else 0.0
    if dropout == 0.0 and not (slow and torch.is_grad_enabled()):
        given = {"scaling": scaling, "is_causal": is_causal, "position_bias": position_bias}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **given, **options)
    added = _additive(query, key, attention_mask, causal)
    if position_bias is not None:
        added = position_bias if added is None else added + position_bias
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) if groups > 1 else x for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    module.probabilities.p = dropout
    by_hand = position_bias is None and "attention" not in getattr(
        module, "plain", ()
    )  # a position bias may be trained
    mixed = attention(query, key, value, added, scale, module.probabilities, by_hand)
    return mixed.transpose(1, 2).contiguous(), None


def _additive(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, causal: bool) -> torch.Tensor | None:
    """The mask of `sdpa_mask` as a summand: of truth values, or none, which stands for a causal one where attention is causal."""
    if mask is None:
        if not causal or query.shape[2] == 1:
            return None
        mask = torch.ones(1, 1, query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()
    if mask.dtype != torch.bool:
        return mask
    dtype = torch.promote_types(query.dtype, torch.float32)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
