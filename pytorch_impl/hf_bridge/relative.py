"""DeBERTa's attention (He et al. 2021, equation 4) without a gather of the size of its scores.

The products of all queries with the rows of the table in the order of their distances have the wanted scores along their
diagonals. Read as one flat array, a diagonal step is a step of one row less one element: a view of other strides, and its
gradient is written through the same view. The table, which all texts share, is multiplied with all texts of a head at
once.
"""

from __future__ import annotations

import torch
from torch import nn

from common.models.relative import Distances
from pytorch_impl.hf_bridge.disentangled import Contents
from pytorch_impl.hf_bridge.surgery import compute_by
from pytorch_impl.layers.attention import attention
from pytorch_impl.layers.frozen import computed_in

__all__ = ["aligned"]


def aligned(backbone: nn.Module, contents: Contents, cut: bool) -> nn.Module:
    """``backbone``, a ``DebertaModel`` or a relative, whose attention computes so unless ``plain`` names `attention`,
    the table has fewer rows than there are distances, or torch.compile reads it, which gathers while it adds. In bfloat16
    it always does: there is no such number as the mask of `transformers`.

    Args:
        contents: `pytorch_impl.hf_bridge.disentangled.fused_contents` or ``separate_contents``.
        cut: whether the middle of the table is read alone, see `common.models.relative.Distances`.
    """
    distances = Distances.of(backbone.config.to_dict(), cut)
    attentions = [layer.attention.self for layer in backbone.encoder.layer]
    for attending in attentions:
        attending.contents, attending.distances = contents, distances
    return compute_by(backbone, {type(attending): _attended for attending in attentions})


def _attended(
    self: nn.Module,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor,
    output_attentions: bool = False,
    query_states: torch.Tensor | None = None,
    relative_pos: torch.Tensor | None = None,
    rel_embeddings: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As the forward pass of ``self``, with its arguments; ``attention_mask`` is ``(batch, 1, seq, seq)``."""
    batch, length, _ = hidden_states.shape
    span, read = self.distances.span, self.distances.read(length)
    few = read < length and not torch.is_autocast_enabled(hidden_states.device.type)  # a gather of few rows is faster
    plain = "attention" in self.plain or torch.compiler.is_compiling() or few
    if plain or output_attentions or query_states is not None:
        given = (output_attentions, query_states, relative_pos, rel_embeddings)
        return type(self).forward(self, hidden_states, attention_mask, *given)
    heads, width = self.num_attention_heads, self.attention_head_size
    table = self.pos_dropout(rel_embeddings)[span - read : span + read]
    *parts, ahead, behind = self.contents(self, hidden_states, hidden_states, table)
    query, key, value = (x.view(batch, length, heads, width).to(computed_in(x)) for x in parts)
    scale = (width * (1 + len(self.pos_att_type))) ** -0.5
    real = attention_mask.bool()
    scores = torch.zeros(real.shape, dtype=torch.promote_types(query.dtype, torch.float32), device=real.device)
    scores.masked_fill_(~real, torch.finfo(scores.dtype).min)
    rows = torch.from_numpy(self.distances.rows(length)[1:].copy()).to(real.device)  # of 1 - length, ..., length - 1
    if ahead is not None:  # falling distances: key j of query i is length - 1 + j - i
        scores = _Aligned.apply(_products(query, ahead[rows.flip(0)], scale), scores, False)
    if behind is not None:
        scores = _Aligned.apply(_products(key, behind[rows], scale), scores, True)
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    return attention(query, key, value, scores, scale, self.dropout).transpose(1, 2).flatten(2), None


def _products(contents: torch.Tensor, near: torch.Tensor, scale: float) -> torch.Tensor:
    """Of ``(batch, seq, heads, width)`` and ``(distances, heads * width)``, ``(heads, batch, seq, distances)``."""
    batch, length, heads, width = contents.shape
    near = near.view(-1, heads, width).permute(1, 2, 0) * scale
    return torch.bmm(contents.permute(2, 0, 1, 3).reshape(heads, batch * length, width), near).view(
        heads, batch, length, -1
    )


class _Aligned(torch.autograd.Function):
    """The diagonals of ``(heads, batch, seq, 2 * seq - 1)`` plus ``(batch, heads or 1, seq, seq)``.

    Args:
        exchanged: whether queries and keys change places.
    """

    @staticmethod
    def forward(ctx, products, scores, exchanged):
        ctx.shape, ctx.dtype, ctx.exchanged = products.shape, products.dtype, exchanged
        return _diagonals(products, exchanged) + scores

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        grad = g.new_zeros(ctx.shape, dtype=ctx.dtype)
        _diagonals(grad, ctx.exchanged).copy_(g)
        return grad, g if ctx.needs_input_grad[1] else None, None


def _diagonals(products: torch.Tensor, exchanged: bool) -> torch.Tensor:
    """A view ``(batch, heads, seq, seq)``: row i begins one element before row i - 1."""
    heads, batch, length, columns = products.shape
    strides = length * columns, batch * length * columns, columns - 1, 1
    found = products.as_strided((batch, heads, length, length), strides, length - 1)
    return found.transpose(2, 3) if exchanged else found
