"""DeBERTa's enhanced mask decoder (He et al. 2021, section 3.2), which the networks of `transformers` leave out: the
last layer is applied twice more, its queries made of the hidden states before it plus absolute positions.

As in the published code, keys and values are those hidden states both times, and the residual is that of the queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["decoded", "fused_layer", "separate_layer"]

STEPS = 2  #: applications of the last layer
#: layer, hidden states, mask, queries, relative positions and their table to the layer's output
Applied = Callable[[nn.Module, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def decoded(model: nn.Module, inputs: Mapping[str, Any], apply: Applied) -> torch.Tensor:
    """What the masked-token head reads, ``(batch, seq, hidden)``; ``model.embeddings.position_embeddings`` is the table
    of absolute positions."""
    mask, encoder = inputs["attention_mask"], model.encoder
    embedded = model.embeddings(inputs["input_ids"], inputs["token_type_ids"], mask=mask)
    square, distances = encoder.get_attention_mask(mask), encoder.get_rel_pos(embedded)
    table = encoder.get_rel_embedding()
    hidden, convolution = embedded, getattr(encoder, "conv", None)
    *layers, last = encoder.layer
    for index, layer in enumerate(layers):
        given, _ = layer(hidden, square, relative_pos=distances, rel_embeddings=table)
        hidden = given if index or convolution is None else convolution(embedded, given, mask)
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    queries = hidden + model.embeddings.position_embeddings(positions)
    for _ in range(STEPS):
        queries = apply(last, hidden, square, queries, distances, table)
    return queries


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
