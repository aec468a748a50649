"""Llama's decoder: `transformers`' own network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig, LlamaModel

from common.models import FAMILIES, rotary
from common.models.families.llama import padding_row, sizes
from pytorch_impl.hf_bridge.encoders import layer_states, pretrained_config
from pytorch_impl.hf_bridge.past import PAST, named
from pytorch_impl.hf_bridge.rotary_cached import Reader

__all__ = ["backbone", "cached_states", "hidden_states", "states"]

_OLDER = ("rope_theta", "rope_scaling")  #: entries that ``rope_parameters`` took the place of


def decoder_config(kind: type, config: Mapping[str, Any]) -> Any:
    """The configuration object. A padding id that is a token as well has no row of its own, see
    `common.models.families.llama.padding_row`."""
    entries = {key: value for key, value in config.items() if key not in _OLDER}
    entries["rope_parameters"] = rotary.parameters(config)
    return pretrained_config(kind, entries | {"pad_token_id": padding_row(config)})


def decoder(network: type[nn.Module], kind: type, config: Mapping[str, Any]) -> nn.Module:
    """The network with the frequencies that both backends turn by. Those of `transformers` differ in the last place
    now and then, which the angles of late positions multiply. ``window`` is how many positions a token attends to, as the
    family says: an entry ``sliding_window`` alone is none, since some networks carry it and never read it."""
    model = network(decoder_config(kind, config))
    found = torch.from_numpy(rotary.frequencies(config, sizes(config).width))
    for buffer in (model.rotary_emb.inv_freq, model.rotary_emb.original_inv_freq):
        buffer.copy_(found)
    model.window = FAMILIES.get(config["model_type"]).window(config)
    return model


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The decoder with untouched start values, to be filled by the caller."""
    return decoder(LlamaModel, LlamaConfig, config)


def _inputs(batch: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    found = named(batch, ("input_ids", "attention_mask"))
    return {**found, "use_cache": PAST in found}  # without it, some of these networks leave given keys out


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The output of the final norm, ``(batch, seq, hidden)``."""
    return model(**_inputs(batch)).last_hidden_state


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``; the last one after the final norm."""
    return layer_states(model, _inputs(batch))


def cached_states(model: nn.Module, kept: dict[Any, Any] | None) -> Reader:
    """What reads new tokens beside the keys and values of those before (`pytorch_impl.decoding`)."""
    return Reader(model, kept)
