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
        key, value: ``(batch, pairs, seq, width)``; ``heads / pairs`` successive heads share one of them.
        mask: additive, broadcastable to ``(batch, heads, queries, seq)``.
        hand_written: keep the probabilities if they are no more than `KEPT`; else compute them again in the backward
            pass, a `PIECE` at a time.

    Returns:
        ``(batch, heads, queries, width)``.
    """
    if hand_written:
        return _Attention.apply(query, key, value, mask, scale, dropout.mask((*query.shape[:3], key.shape[2])))
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) if groups > 1 else x for x in (key, value))
    scores = torch.matmul(query, key.transpose(2, 3)) * scale
    return torch.matmul(dropout(torch.softmax(scores if mask is None else scores + mask, -1)), value)


class _Attention(torch.autograd.Function):
    """The queries of the heads that share a key are those of one head: nothing is repeated, and the gradients of keys and
    values are summed in their products."""

    @staticmethod
    def forward(ctx, query, key, value, mask, scale, dropped):
        ctx.shape, ctx.pairs, ctx.scale, ctx.dropped = query.shape, key.shape[1], scale, dropped
        key, value = (x.reshape(-1, *x.shape[2:]) for x in (key, value))  # (batch * pairs, seq, width)
        joined = query.shape[1] // ctx.pairs * query.shape[2]  # queries of the heads that share a key
        query = query.reshape(key.shape[0], joined, query.shape[3])
        ctx.parts = _parts(ctx, key.shape[1])
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
        grad_mask = mask.new_empty(*query.shape[:2], key.shape[1]) if ctx.needs_input_grad[3] else None
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
            grad_scores = torch._softmax_backward_data(grad_probabilities, probabilities, -1, probabilities.dtype)
            if grad_mask is not None:
                grad_mask[part] = grad_scores
            grad_scores = grad_scores.to(query.dtype)
            _scaled(grad_scores, key[part], ctx.scale, grad_query[part])
            _scaled(grad_scores.transpose(1, 2), query[part], ctx.scale, grad_key[part])
        grad_key, grad_value = (x.view(-1, ctx.pairs, *x.shape[1:]) for x in (grad_key, grad_value))
        if grad_mask is not None:
            grad_mask = grad_mask.view(*ctx.shape[:3], -1).sum_to_size(mask.shape)
        return grad_query.view(ctx.shape), grad_key, grad_value, grad_mask, None, None


def _parts(ctx, seq: int) -> list[slice]:
    """Of the ``(batch * pairs)``, some sequences at a time."""
    batch, heads, queries, _ = ctx.shape
    size = max(1, PIECE // (heads * queries * seq))
    return [slice(start * ctx.pairs, min(start + size, batch) * ctx.pairs) for start in range(0, batch, size)]


def _probabilities(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, part: slice, ctx) -> torch.Tensor:
    """Of a part, ``(part, queries, seq)``, float32 at least."""
    scores = query.new_empty(part.stop - part.start, query.shape[1], key.shape[1])
    scores = _scaled(query[part], key[part].transpose(1, 2), ctx.scale, scores).to(
        torch.promote_types(query.dtype, torch.float32)
    )
    if mask is not None:
        scores.view(-1, *ctx.shape[1:3], key.shape[1]).add_(
            mask if mask.shape[0] == 1 else mask[part.start // ctx.pairs : part.stop // ctx.pairs]
        )
    return torch.softmax(scores, -1)


def _scaled(left: torch.Tensor, right: torch.Tensor, scale: float, out: torch.Tensor) -> torch.Tensor:
    return torch.baddbmm(out, left, right, beta=0, alpha=scale, out=out)


def _factor(x: torch.Tensor, part: slice, ctx) -> torch.Tensor | None:
    if ctx.dropped is None:
        return None
    return ctx.dropped.rows(part, (ctx.shape[0] * ctx.pairs, *x.shape[1:])).factor(x)
