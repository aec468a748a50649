"""ALBERT's encoder: the modules of `transformers`' own network, run here, since its layers are used several times: each
use has dropout masks of its own (`common.dropout.of_turn`).

A dropout of an adapter is that of its module, which is used several times with one mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from transformers import AlbertConfig, AlbertModel

from common.models.families.albert import uses
from pytorch_impl.hf_bridge.encoders import first_attended, padding_mask, pretrained_config
from pytorch_impl.layers.dropout import Dropout

__all__ = ["backbone", "first_states", "hidden_states", "states"]

Inputs = Mapping[str, torch.Tensor]


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The encoder without pooler, with untouched start values, to be filled by the caller."""
    model = AlbertModel(pretrained_config(AlbertConfig, config), add_pooling_layer=False)
    order = uses(config)
    # relative to the model, and which use of its layer each is
    model.passes = tuple((path.partition(".")[2], order[:at].count(path)) for at, path in enumerate(order))
    return model


def _embedded(model: nn.Module, batch: Inputs) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What the first layer gets, ``(batch, seq, hidden)``, and the mask of all layers."""
    embeddings = model.embeddings(batch["input_ids"], token_type_ids=batch["token_type_ids"])
    mask = padding_mask(model, embeddings, batch["attention_mask"])
    return model.encoder.embedding_hidden_mapping_in(embeddings), mask


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    """The layers in the order of their use, each with the masks of this use."""
    for path, turn in model.passes:
        layer = model.get_submodule(path)
        for dropout in (getattr(layer.attention, "probabilities", None), layer.attention.output_dropout):
            if isinstance(dropout, Dropout):
                dropout.turn = turn
        yield layer


def states(model: nn.Module, batch: Inputs) -> torch.Tensor:
    """The last layer's output, ``(batch, seq, hidden)``."""
    hidden, mask = _embedded(model, batch)
    for layer in _layers(model):
        hidden = layer(hidden, mask)
    return hidden


def first_states(model: nn.Module, batch: Inputs) -> torch.Tensor:
    """The first position's output, ``(batch, hidden)``: the last use of a layer computes its queries and all that
    follows for that position alone."""
    hidden, mask = _embedded(model, batch)
    last = len(model.passes) - 1
    for index, layer in enumerate(_layers(model)):
        if index < last:
            hidden = layer(hidden, mask)
            continue
        attention = layer.attention
        projections = (attention.query, attention.key, attention.value)
        mixed = first_attended(attention, projections, attention.attention_dropout, hidden, mask)
        x = attention.LayerNorm(hidden[:, :1] + attention.output_dropout(attention.dense(mixed)))
        hidden = layer.full_layer_layer_norm(layer.ff_chunk(x) + x)
    return hidden[:, 0]


def hidden_states(model: nn.Module, batch: Inputs) -> list[torch.Tensor]:
    """What the first layer gets and the output of every use of a layer, each ``(batch, seq, hidden)``."""
    hidden, mask = _embedded(model, batch)
    found = [hidden]
    for layer in _layers(model):
        found.append(layer(found[-1], mask))
    return found
