"""Single layers: LoRA in its variants, attention, norm, embedding, activations, losses; outputs and the gradient of every input and parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.adaptation import LoraArguments, PlanStep
from common.api_mapping.arrays import draw, integers, normal, uniform
from common.backend import IGNORE
from common.parity.cases import Arrays, Case, Host, UnsupportedError

__all__ = ["cases"]

TOKENS, IN, OUT, RANK = 24, 32, 48, 4
SLICES = {"whole": (), "q,v": (("q", 0, 16), ("v", 32, 48)), "uneven": (("a", 0, 5), ("b", 7, 12), ("c", 20, 47))}


def cases(options: Mapping[str, Any]) -> tuple[Case, ...]:
    """Every layer."""
    return (*_lora(), *_others())


def _lora() -> list[Case]:
    found = []
    for kind in ("linear", "conv1d"):
        for label, slices in SLICES.items():
            for stabilized in (False, True) if label == "whole" else (False,):
                step = PlanStep("layer", "lora", kind, IN, OUT, LoraArguments(RANK, 8.0, 0.0, stabilized, slices))
                name = f"lora-{kind}/{label}{'-stabilized' if stabilized else ''}"
                found.append(_case(name, "lora", {"x": normal(TOKENS, IN), **_weights(step)}, step=step))
    step = PlanStep("layer", "lora", "linear", IN, OUT, LoraArguments(RANK, 8.0))
    found.append(
        _case(
            "lora-linear/large-inputs",
            "lora",
            {"x": uniform(TOKENS, IN, low=-1e3, high=1e3), **_weights(step)},
            step=step,
        )
    )
    found.append(_case("lora-linear/one-token", "lora", {"x": normal(1, IN), **_weights(step)}, step=step))
    step = PlanStep("layer", "lora", "embedding", IN, OUT, LoraArguments(RANK, 8.0))
    found.append(
        _case(
            "lora-embedding/repeated-ids",
            "lora",
            {"x": integers(3, 8, low=0, high=IN, dtype="int32"), **_weights(step)},
            step=step,
        )
    )
    return found


def _weights(step: PlanStep) -> dict[str, Any]:
    shape = (OUT, IN) if step.kind == "linear" else (IN, OUT)
    bias = {} if step.kind == "embedding" else {"bias": normal(OUT)}
    return {
        "weight": normal(*shape),
        **bias,
        **{name.rpartition(".")[2]: normal(*size) for name, size in step.shapes().items()},
    }


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
