"""Attention with a hand-written backward pass: probabilities are kept where they are few, else computed again, mask of
the dropout included.
"""

from __future__ import annotations

import torch

from pytorch_impl.layers.dropout import Dropout

__all__ = ["attention"]

KEPT = 2**22  #: probabilities of a layer that are kept, 16 MiB in float32
PIECE = 2**18  #: probabilities that are computed at once, and stay in the cache: 1 MiB


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    dropout: Dropout,
    hand_written: bool = True,
) -> torch.Tensor:
    """softmax(q k^T scale + mask) v (Vaswani et al. 2017, eq. 1), per head, with counted dropout of the probabilities.

    Args:
        query: ``(batch, heads, queries, width)``.
        key, value: ``(batch, heads, seq, width)``.
        mask: additive, broadcastable to ``(batch, heads, queries, seq)``; gets no gradient by hand.
        hand_written: keep the probabilities if they are no more than `KEPT`; else compute them again in the backward
            pass, a `PIECE` at a time.

    Returns:
        ``(batch, heads, queries, width)``.
    """
    if hand_written:
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
        grad_query, grad_key, grad_value = (torch.empty_like(x) for x in (query, key, value))
        for part, probabilities in zip(ctx.parts, kept, strict=True):
            g = gradient[part]
            if probabilities is None:
                probabilities = _probabilities(query, key, mask, part, ctx)
            factor = _factor(probabilities, part, ctx)
            torch.bmm(
                (probabilities if factor is None else probabilities * factor).to(g.dtype).transpose(1, 2),
                g,
                out=grad_value[part],
            )
            grad_probabilities = torch.bmm(g, value[part].transpose(1, 2)).to(probabilities.dtype)
            if factor is not None:
                grad_probabilities = grad_probabilities.mul_(factor)
            grad_scores = torch._softmax_backward_data(grad_probabilities, probabilities, -1, probabilities.dtype).to(
                query.dtype
            )
            _scaled(grad_scores, key[part], ctx.scale, grad_query[part])
            _scaled(grad_scores.transpose(1, 2), query[part], ctx.scale, grad_key[part])
        return *(x.view(*ctx.shape[:2], *x.shape[1:]) for x in (grad_query, grad_key, grad_value)), None, None, None


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
