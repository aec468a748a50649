"""What the networks of `transformers` leave out of DeBERTa: the way to the first position alone, and the enhanced mask
decoder (He et al. 2021, section 3.2): the last layer is applied twice more, its queries made of the hidden states
before it plus absolute positions.

As in the published code, keys and values are those hidden states both times, and the residual is that of the queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from common.models.relative import Distances

__all__ = ["decoded", "first_position", "fused_contents", "fused_layer", "separate_contents", "separate_layer"]

STEPS = 2  #: applications of the last layer
#: layer, hidden states, mask, queries, relative positions and their table to the layer's output
Applied = Callable[[nn.Module, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
#: attention, hidden states, those of the first position, and the table of relative positions to query, key and value,
#: each ``(batch, seq, hidden)``, and the table's keys and queries ``(rows, hidden)`` or None
Contents = Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]]


def decoded(model: nn.Module, inputs: Mapping[str, Any], apply: Applied) -> torch.Tensor:
    """What the masked-token head reads, ``(batch, seq, hidden)``; ``model.embeddings.position_embeddings`` is the table
    of absolute positions."""
    last, hidden, square, distances, table = _before_last(model, inputs)
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    queries = hidden + model.embeddings.position_embeddings(positions)
    for _ in range(STEPS):
        queries = apply(last, hidden, square, queries, distances, table)
    return queries


def first_position(model: nn.Module, inputs: Mapping[str, Any], contents: Contents, cut: bool) -> torch.Tensor:
    """The first position's output ``(batch, hidden)``: the last layer computes its queries and all that follows for
    that position alone.

    Args:
        contents: `fused_contents` or `separate_contents`.
        cut: whether the middle of the table is read alone, see `common.models.relative.Distances`.
    """
    if len(model.encoder.layer) == 1 and getattr(model.encoder, "conv", None) is not None:
        return model(**inputs).last_hidden_state[:, 0]  # the convolution reads the layer's whole output
    last, hidden, square, _, table = _before_last(model, inputs)
    attending, first = last.attention.self, hidden[:, :1]
    distances, length = Distances.of(model.config.to_dict(), cut), hidden.shape[1]
    span, read = distances.span, distances.read(length)
    table = attending.pos_dropout(table)[span - read : span + read]
    *parts, ahead, behind = contents(attending, hidden, first, table)
    heads, width = attending.num_attention_heads, attending.attention_head_size
    query, key, value = (x.view(*x.shape[:2], heads, width).transpose(1, 2) for x in parts)
    scale = (width * (1 + len(attending.pos_att_type))) ** -0.5
    mask = torch.zeros(
        square[:, :, :1].shape, dtype=torch.promote_types(query.dtype, torch.float32), device=query.device
    )
    scores = mask.masked_fill_(~square[:, :, :1].bool(), torch.finfo(mask.dtype).min)
    rows = _rows(distances, length, hidden.device)  # of the distances 0, -1, -2, ...
    if ahead is not None:
        near = ahead[rows].view(length, heads, width).permute(1, 2, 0) * scale
        scores = scores + torch.matmul(query, near)
    if behind is not None:
        near = behind[rows].view(length, heads, width).transpose(0, 1) * scale
        scores = scores + torch.mul(key, near).sum(-1).unsqueeze(2)
    probabilities = torch.softmax(torch.matmul(query * scale, key.transpose(2, 3)) + scores, -1)
    mixed = torch.matmul(attending.dropout(probabilities), value).transpose(1, 2).flatten(2)
    mixed = last.attention.output(mixed, first)
    return last.output(last.intermediate(mixed), mixed)[:, 0]


@torch.compiler.disable  # NumPy, which torch.compile cannot follow
def _rows(distances: Distances, length: int, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(distances.rows(length)[1 : length + 1][::-1].copy()).to(device)


def _before_last(model: nn.Module, inputs: Mapping[str, Any]):
    """The last layer, its input, the mask of pairs, relative positions, and their table."""
    mask, encoder = inputs["attention_mask"], model.encoder
    embedded = model.embeddings(inputs["input_ids"], inputs["token_type_ids"], mask=mask)
    square, distances = encoder.get_attention_mask(mask), encoder.get_rel_pos(embedded)
    table = encoder.get_rel_embedding()
    hidden, convolution = embedded, getattr(encoder, "conv", None)
    *layers, last = encoder.layer
    for index, layer in enumerate(layers):
        given, _ = layer(hidden, square, relative_pos=distances, rel_embeddings=table)
        hidden = given if index or convolution is None else convolution(embedded, given, mask)
    return last, hidden, square, distances, table


def separate_contents(attention, hidden, first, table):
    """Projections of their own for query, key and value, which may be those of the relative positions as well."""
    kinds, shared = attention.pos_att_type, attention.share_att_key
    ahead = behind = None
    if "c2p" in kinds:
        ahead = (attention.key_proj if shared else attention.pos_key_proj)(table)
    if "p2c" in kinds:
        behind = (attention.query_proj if shared else attention.pos_query_proj)(table)
    return attention.query_proj(first), attention.key_proj(hidden), attention.value_proj(hidden), ahead, behind


def fused_contents(attention, hidden, first, table):
    """One projection interleaved by head, with biases of query and value alone."""
    heads = attention.num_attention_heads

    def parts(states):
        fused = attention.in_proj(states)
        return (x.flatten(2) for x in fused.view(*fused.shape[:2], heads, -1).chunk(3, dim=-1))

    query, key, value = parts(hidden)
    if first is not hidden:
        query, _, _ = parts(first)
    ahead = attention.pos_proj(table) if "c2p" in attention.pos_att_type else None
    behind = attention.pos_q_proj(table) if "p2c" in attention.pos_att_type else None
    return query + attention.q_bias, key, value + attention.v_bias, ahead, behind


def separate_layer(layer, hidden, mask, queries, distances, table):
    """A layer with projections of their own for query, key and value: `transformers`' own way."""
    return layer(hidden, mask, query_states=queries, relative_pos=distances, rel_embeddings=table)[0]


def fused_layer(layer, hidden, mask, queries, distances, table):
    """A layer with one projection interleaved by head, which `transformers` splits for two-dimensional states alone."""
    attention = layer.attention.self
    projected = (attention.transpose_for_scores(attention.in_proj(states)) for states in (queries, hidden))
    (query, _, _), (_, key, value) = (parts.chunk(3, dim=-1) for parts in projected)
    query, value = (
        x + attention.transpose_for_scores(bias[None, None, :])
        for x, bias in ((query, attention.q_bias), (value, attention.v_bias))
    )
    terms = 1 + len(attention.pos_att_type)
    query = query / (query.shape[-1] * terms) ** 0.5
    scores = query @ key.transpose(-1, -2)
    scores = scores + attention.disentangled_att_bias(
        query, key, distances, attention.pos_dropout(table), terms
    )  # 0 where there is no term of positions
    scores = scores.masked_fill(~mask.bool(), torch.finfo(scores.dtype).min)
    mixed = attention.dropout(scores.softmax(-1)) @ value
    mixed = layer.attention.output(mixed.transpose(1, 2).flatten(2), queries)
    return layer.output(layer.intermediate(mixed), mixed)
