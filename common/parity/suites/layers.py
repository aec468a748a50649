"""Single layers: LoRA in its variants, attention, norm, embedding, activations, losses; outputs and the gradient of
every input and parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.api_mapping.arrays import draw, integers, normal, uniform
from common.backend import IGNORE
from common.edits import Edit
from common.methods.lora import LoraArguments, edit_of
from common.models.modules import EMBEDDING, LINEAR, TRANSPOSED_LINEAR, Kind, ModuleSpec
from common.parity.cases import Arrays, Case, Host, UnsupportedError

__all__ = ["cases"]

TOKENS, IN, OUT, RANK = 24, 32, 48, 4
SLICES = {"whole": (), "q,v": (("q", 0, 16), ("v", 32, 48)), "uneven": (("a", 0, 5), ("b", 7, 12), ("c", 20, 47))}


def cases(options: Mapping[str, Any]) -> tuple[Case, ...]:
    """Every layer."""
    return (*_lora(), *_others())


def _lora() -> list[Case]:
    found = []
    for kind in (LINEAR, TRANSPOSED_LINEAR):
        for label, slices in SLICES.items():
            for stabilized in (False, True) if label == "whole" else (False,):
                edit = _edit(kind, LoraArguments(RANK, 8.0, 0.0, stabilized, slices))
                name = f"{edit.layer}-{kind.name}/{label}{'-stabilized' if stabilized else ''}"
                found.append(_case(name, "edit", {"x": normal(TOKENS, IN), **_weights(edit)}, edit=edit))
    edit = _edit(LINEAR, LoraArguments(RANK, 8.0))
    large, one = uniform(TOKENS, IN, low=-1e3, high=1e3), normal(1, IN)
    for label, x in (("large-inputs", large), ("one-token", one)):
        found.append(_case(f"{edit.layer}-{LINEAR.name}/{label}", "edit", {"x": x, **_weights(edit)}, edit=edit))
    edit = _edit(EMBEDDING, LoraArguments(RANK, 8.0))
    ids = integers(3, 8, low=0, high=IN, dtype="int32")
    found.append(_case(f"{edit.layer}/repeated-ids", "edit", {"x": ids, **_weights(edit)}, edit=edit))
    return found


def _edit(kind: Kind, arguments: LoraArguments) -> Edit:
    return edit_of(ModuleSpec("layer", kind, IN, OUT, bias=not kind.lookup), arguments)


def _weights(edit: Edit) -> dict[str, Any]:
    base = {name.rpartition(".")[2]: normal(*shape) for name, shape in edit.module.shapes().items()}
    return base | {parameter.leaf: normal(*parameter.shape) for parameter in edit.parameters}


def _others() -> list[Case]:
    batch, length, hidden, heads = 3, 9, 32, 4
    projections = {name: normal(batch * length, hidden) for name in ("query", "key", "value")}
    wide = {name: uniform(batch * length, hidden, low=-12.0, high=12.0) for name in ("query", "key", "value")}
    mask = np.arange(length) < np.array([[length], [4], [1]])
    norm = {"weight": normal(hidden), "bias": normal(hidden)}
    labels = np.array([2, IGNORE, 0, 4, 1, IGNORE], np.int32)
    return [
        _case(
            "attention/padded",
            "attention",
            projections,
            {"attention_mask": mask.astype(np.int32)},
            heads=heads,
            causal=False,
        ),
        _case(
            "attention/causal",
            "attention",
            projections,
            {"attention_mask": mask.astype(np.int32)},
            heads=heads,
            causal=True,
        ),
        _case(
            "attention/large-scores",
            "attention",
            wide,
            {"attention_mask": mask.astype(np.int32)},
            heads=heads,
            causal=False,
        ),
        _case("layer-norm/normal", "layer_norm", {"x": normal(TOKENS, hidden), **norm}, eps=1e-12),
        _case(
            "layer-norm/offset", "layer_norm", {"x": uniform(TOKENS, hidden, low=99.0, high=101.0), **norm}, eps=1e-5
        ),
        _case("layer-norm/tiny", "layer_norm", {"x": uniform(TOKENS, hidden, low=-1e-4, high=1e-4), **norm}, eps=1e-5),
        _case(
            "embedding/repeated-ids",
            "embedding",
            {"x": integers(3, 8, low=0, high=7, dtype="int32"), "weight": normal(11, hidden)},
        ),
        _case("gelu/wide", "gelu", {"x": uniform(TOKENS, hidden, low=-12.0, high=12.0)}, approximate="none"),
        _case("gelu-tanh/wide", "gelu", {"x": uniform(TOKENS, hidden, low=-12.0, high=12.0)}, approximate="tanh"),
        _case("loss/classes", "loss", {"x": normal(6, 5)}, {"labels": labels}),
        _case("loss/large-logits", "loss", {"x": uniform(6, 5, low=-80.0, high=80.0)}, {"labels": labels}),
        _case(
            "loss/vocabulary",
            "token_loss",
            {"x": normal(6, hidden), "weight": normal(211, hidden)},
            {"labels": labels * 50},
            fixed=("weight",),
        ),
        _case("loss/tokens", "loss", {"x": normal(2, 3, 5)}, {"labels": labels.reshape(2, 3)}),
    ]


def _case(name: str, layer: str, drawn: Mapping[str, Any], given: Arrays | None = None, **options: Any) -> Case:
    def inputs() -> Arrays:
        return {key: draw(array, f"layers/{name}|{key}") for key, array in drawn.items()} | (given or {})

    def compute(host: Host, arrays: Arrays) -> tuple[Arrays, dict[str, str]]:
        if host.double and host.backend != "pytorch":
            raise UnsupportedError("a float64 reference is computed in PyTorch")
        return host.parity.layer(layer, arrays, options, f"layers/{name}", host.double), {}

    return Case(
        f"layers/{name}",
        "attention" if layer in ("attention", "loss", "token_loss") else "layer",
        inputs,
        compute,
        definition=repr((layer, options)),
    )
