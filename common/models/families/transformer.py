"""The Transformer: encoder and decoder (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.models.family import ATTENTION_MASK, DECODER_INPUT_IDS, INPUT_IDS, WRITTEN, Backbone, Family, HeadLayout
from common.models.modules import ATTENTION, EMBEDDING, LAYER_NORM, LINEAR, Heads, ModuleSpec
from common.random import normal, uniform

__all__ = ["MEMBER", "Transformer"]


class Transformer(Family):
    """Post-norm encoder and decoder with sinusoidal positions; one table serves source, target and output.

    Modules are called as those of Marian in ``transformers``, which is this network with its positions in another
    order.
    """

    name = "transformer"
    INPUTS = (INPUT_IDS, ATTENTION_MASK, DECODER_INPUT_IDS)
    HEADS = ("d_model", "num_heads")
    DROPOUTS = ("dropout",)
    TARGETS = ("*.q_proj", "*.v_proj")
    COUNTED = False
    SIZE = {
        "hidden": "d_model",
        "layers": "num_layers",
        "heads": "num_heads",
        "inner": "d_ff",
        "positions": "max_position_embeddings",
    }
    DEFAULTS = {
        "model_type": "transformer",
        "vocab_size": 37000,
        "d_model": 512,
        "num_layers": 6,  # of the encoder, and as many of the decoder
        "num_heads": 8,
        "d_ff": 2048,
        "dropout": 0.1,  # of what every sub-layer gives, and of the embeddings
        "attention_dropout": 0.0,  # of the probabilities; the paper has none
        "max_position_embeddings": 512,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 0,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """The shared table, encoder layers, decoder layers."""
        width = config["d_model"]
        listed = [ModuleSpec("model.shared", EMBEDDING, config["vocab_size"], width, bias=False)]
        for index in range(config["num_layers"]):
            layer = f"model.encoder.layers.{index}"
            listed += [*_attention(f"{layer}.self_attn", config), *_feed(layer, config)]
        for index in range(config["num_layers"]):
            layer = f"model.decoder.layers.{index}"
            listed += _attention(f"{layer}.self_attn", config, causal=True)
            listed += [*_attention(f"{layer}.encoder_attn", config, memory=True), *_feed(layer, config)]
        return Backbone(tuple(listed), width, 2 * config["num_layers"], "model")

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """The output is tied to the shared table."""
        if name != WRITTEN:
            return None
        table = "model.shared"
        return HeadLayout("TransformerModel", WRITTEN, "lm_head", False, output_bias=False, tied_to=table)

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """As many sinusoids as are made, of either sequence."""
        return config["max_position_embeddings"]

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """As the paper's own program: the table N(0, 1 / width), so that what is looked up has deviation 1 after its
        factor; matrices uniform in +-sqrt(6 / (in + out)) (Glorot and Bengio 2010); biases 0, norms 1."""
        if module.kind is EMBEDDING:
            return normal(seed, name, shape, config["d_model"] ** -0.5)
        if module.kind is LINEAR and name.endswith(".weight"):
            return uniform(seed, name, shape, math.sqrt(6.0 / (module.in_features + module.out_features)))
        return super().initial(module, name, shape, config, seed)


def _attention(path: str, config: Mapping[str, Any], causal: bool = False, memory: bool = False) -> list[ModuleSpec]:
    """Attention to the own sequence or to the encoder's, and the norm behind it."""
    width = config["d_model"]
    projections = (f"{path}.q_proj", f"{path}.k_proj", f"{path}.v_proj")
    heads = Heads(config["num_heads"], projections, causal, past=False, memory=memory)
    return [
        *(ModuleSpec(projection, LINEAR, width, width) for projection in projections),
        ModuleSpec(path, ATTENTION, width, width, arguments=heads),
        ModuleSpec(f"{path}.out_proj", LINEAR, width, width),
        ModuleSpec(f"{path}_layer_norm", LAYER_NORM, width, width),
    ]


def _feed(layer: str, config: Mapping[str, Any]) -> list[ModuleSpec]:
    width, inner = config["d_model"], config["d_ff"]
    return [
        ModuleSpec(f"{layer}.fc1", LINEAR, width, inner),
        ModuleSpec(f"{layer}.fc2", LINEAR, inner, width),
        ModuleSpec(f"{layer}.final_layer_norm", LAYER_NORM, width, width),
    ]


MEMBER = Transformer()
