"""GPT-2 (Radford et al. 2019) for language modelling and sequence classification, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.models.specs import ModuleSpec
from common.random import normal

__all__ = ["DEFAULTS", "DROPOUTS", "HEADS", "PREFIX", "TASKS", "head", "initial", "modules"]

PREFIX = "transformer"
TASKS = {"language-modeling": "GPT2LMHeadModel", "sequence-classification": "GPT2ForSequenceClassification"}
HEADS = ("n_embd", "n_head")
DROPOUTS = ("embd_pdrop", "attn_pdrop", "resid_pdrop")
DEFAULTS: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_inner": None,
    "activation_function": "gelu_new",
    "embd_pdrop": 0.1,
    "attn_pdrop": 0.1,
    "resid_pdrop": 0.1,
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02,
    "bos_token_id": 50256,
    "eos_token_id": 50256,
    "pad_token_id": None,
}


def head(task: str) -> tuple[str, ...]:
    """Paths of the task head's modules; the language-model head is tied to the embedding and not one of them."""
    return ("score",) if task == "sequence-classification" else ()


def modules(config: Mapping[str, Any], task: str) -> tuple[ModuleSpec, ...]:
    """Every module that owns parameters, in the order of the forward pass."""
    hidden = config["n_embd"]
    inner = config["n_inner"] or 4 * hidden
    qkv = tuple((name, i * hidden, (i + 1) * hidden) for i, name in enumerate("qkv"))
    listed = [
        ModuleSpec("transformer.wte", "embedding", config["vocab_size"], hidden, bias=False),
        ModuleSpec("transformer.wpe", "embedding", config["n_positions"], hidden, bias=False),
    ]
    for index in range(config["n_layer"]):
        layer = f"transformer.h.{index}"
        listed += [
            ModuleSpec(f"{layer}.ln_1", "layernorm", hidden, hidden),
            ModuleSpec(f"{layer}.attn.c_attn", "conv1d", hidden, 3 * hidden, slices=qkv),
            ModuleSpec(f"{layer}.attn.c_proj", "conv1d", hidden, hidden),
            ModuleSpec(f"{layer}.ln_2", "layernorm", hidden, hidden),
            ModuleSpec(f"{layer}.mlp.c_fc", "conv1d", hidden, inner),
            ModuleSpec(f"{layer}.mlp.c_proj", "conv1d", inner, hidden),
        ]
    listed.append(ModuleSpec("transformer.ln_f", "layernorm", hidden, hidden))
    if task == "sequence-classification":
        listed.append(ModuleSpec("score", "linear", hidden, config["num_labels"], bias=False))
    else:
        listed.append(
            ModuleSpec("lm_head", "linear", hidden, config["vocab_size"], bias=False, tied_to="transformer.wte")
        )
    return tuple(listed)


def initial(module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int) -> np.ndarray:
    """Starting value of one parameter as published: residual projections are scaled by 1 / sqrt(2 n_layer)."""
    if name.endswith(".bias"):
        return np.zeros(shape, np.float32)
    if module.kind == "layernorm":
        return np.ones(shape, np.float32)
    residual = 1.0 / math.sqrt(2 * config["n_layer"]) if name.endswith("c_proj.weight") else 1.0
    return normal(seed, name, shape, config["initializer_range"] * residual)
