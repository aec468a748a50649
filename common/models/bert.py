"""BERT (Devlin et al. 2019) for sequence classification, as data: configuration defaults, modules and starting values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.models.specs import ModuleSpec
from common.random import normal

__all__ = ["DEFAULTS", "DROPOUTS", "HEADS", "PREFIX", "TASKS", "head", "initial", "modules"]

PREFIX = "bert"
TASKS = {"sequence-classification": "BertForSequenceClassification"}
HEADS = (
    "hidden_size",
    "num_attention_heads",
)  #: the configuration's names of the width and of the number of heads it is divided among
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
DEFAULTS: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def head(task: str) -> tuple[str, ...]:
    """Paths of the task head's modules."""
    return ("classifier",)


def modules(config: Mapping[str, Any], task: str) -> tuple[ModuleSpec, ...]:
    """Every module that owns parameters, in the order of the forward pass."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    listed = [
        ModuleSpec("bert.embeddings.word_embeddings", "embedding", config["vocab_size"], hidden, bias=False),
        ModuleSpec(
            "bert.embeddings.position_embeddings", "embedding", config["max_position_embeddings"], hidden, bias=False
        ),
        ModuleSpec("bert.embeddings.token_type_embeddings", "embedding", config["type_vocab_size"], hidden, bias=False),
        ModuleSpec("bert.embeddings.LayerNorm", "layernorm", hidden, hidden),
    ]
    for index in range(config["num_hidden_layers"]):
        layer = f"bert.encoder.layer.{index}"
        listed += [
            ModuleSpec(f"{layer}.attention.self.{name}", "linear", hidden, hidden) for name in ("query", "key", "value")
        ]
        listed += [
            ModuleSpec(f"{layer}.attention.output.dense", "linear", hidden, hidden),
            ModuleSpec(f"{layer}.attention.output.LayerNorm", "layernorm", hidden, hidden),
            ModuleSpec(f"{layer}.intermediate.dense", "linear", hidden, inner),
            ModuleSpec(f"{layer}.output.dense", "linear", inner, hidden),
            ModuleSpec(f"{layer}.output.LayerNorm", "layernorm", hidden, hidden),
        ]
    return (
        *listed,
        ModuleSpec("bert.pooler.dense", "linear", hidden, hidden),
        ModuleSpec("classifier", "linear", hidden, config["num_labels"]),
    )


def initial(module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int) -> np.ndarray:
    """Starting value of one parameter as in the published code: weights N(0, initializer_range), biases 0, norms 1, padding row 0."""
    if name.endswith(".bias"):
        return np.zeros(shape, np.float32)
    if module.kind == "layernorm":
        return np.ones(shape, np.float32)
    value = normal(seed, name, shape, config["initializer_range"])
    if name.endswith("word_embeddings.weight") and config["pad_token_id"] is not None:
        value[config["pad_token_id"]] = 0.0
    return value
