"""GPT-2 (Radford et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.models.family import EACH, LAST, Backbone, Family, HeadLayout
from common.models.modules import ATTENTION, EMBEDDING, LAYER_NORM, TRANSPOSED_LINEAR, Heads, ModuleSpec
from common.random import normal

__all__ = ["GPT2", "MEMBER"]


class GPT2(Family):
    """Pre-norm decoder with a fused query, key and value projection."""

    name = "gpt2"
    HEADS = ("n_embd", "n_head")
    DROPOUTS = ("embd_pdrop", "attn_pdrop", "resid_pdrop")
    TARGETS = ("*.attn.c_attn[q,v]",)
    ACTIVATION = "activation_function"
    SIZE = {
        "hidden": "n_embd",
        "layers": "n_layer",
        "heads": "n_head",
        "positions": "n_positions",
    }
    DEFAULTS = {
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

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Embeddings, blocks and the final norm."""
        hidden, positions = config["n_embd"], config["n_positions"]
        inner = config["n_inner"] or 4 * hidden
        qkv = tuple((name, i * hidden, (i + 1) * hidden) for i, name in enumerate("qkv"))
        listed = [
            ModuleSpec("transformer.wte", EMBEDDING, config["vocab_size"], hidden, bias=False),
            ModuleSpec("transformer.wpe", EMBEDDING, positions, hidden, bias=False, arguments="positions"),
        ]
        for index in range(config["n_layer"]):
            layer = f"transformer.h.{index}"
            fused = f"{layer}.attn.c_attn"
            heads = Heads(config["n_head"], (fused, fused, fused), causal=True)
            listed += [
                ModuleSpec(f"{layer}.ln_1", LAYER_NORM, hidden, hidden),
                ModuleSpec(fused, TRANSPOSED_LINEAR, hidden, 3 * hidden, slices=qkv),
                ModuleSpec(f"{layer}.attn", ATTENTION, hidden, hidden, arguments=heads),
                ModuleSpec(f"{layer}.attn.c_proj", TRANSPOSED_LINEAR, hidden, hidden),
                ModuleSpec(f"{layer}.ln_2", LAYER_NORM, hidden, hidden),
                ModuleSpec(f"{layer}.mlp.c_fc", TRANSPOSED_LINEAR, hidden, inner),
                ModuleSpec(f"{layer}.mlp.c_proj", TRANSPOSED_LINEAR, inner, hidden),
            ]
        listed.append(ModuleSpec("transformer.ln_f", LAYER_NORM, hidden, hidden))
        return Backbone(tuple(listed), hidden, config["n_layer"], "transformer")

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """The head tied to the embedding; a linear layer on the last real token; a classifier of every token."""
        layouts = {
            "causal": HeadLayout("GPT2LMHeadModel", EACH, "lm_head", output_bias=False, tied_to="transformer.wte"),
            "sequence": HeadLayout("GPT2ForSequenceClassification", LAST, "score", output_bias=False),
            "token": HeadLayout("GPT2ForTokenClassification", EACH, "classifier", dropout=config["resid_pdrop"]),
        }
        return layouts.get(name)

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """One for each row of the position table."""
        return config["n_positions"]

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """As published: residual projections are scaled by 1 / sqrt(2 n_layer)."""
        if name.endswith("c_proj.weight"):
            return normal(seed, name, shape, config["initializer_range"] * (1.0 / math.sqrt(2 * config["n_layer"])))
        return super().initial(module, name, shape, config, seed)


MEMBER = GPT2()
