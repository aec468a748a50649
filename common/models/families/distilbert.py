"""DistilBERT (Sanh et al. 2019): BERT's encoder with fewer layers and without token types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.models.family import EACH, FIRST, Backbone, Family, HeadLayout, LayerParts
from common.models.modules import ATTENTION, EMBEDDING, LAYER_NORM, LINEAR, Heads, ModuleSpec

__all__ = ["MEMBER", "DistilBert", "sinusoids"]

EPS = 1e-12  #: of every norm; no entry of the configuration


def sinusoids(positions: int, width: int) -> np.ndarray:
    """sin(p / 10000^(2i / width)) in the even columns 2i and the cosine in the odd ones, float32 ``(positions, width)``
    (Vaswani et al. 2017, section 3.5)."""
    columns = np.arange(width)
    angles = np.arange(positions)[:, None] / np.power(10000, 2 * (columns // 2) / width)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles)).astype(np.float32)


class DistilBert(Family):
    """Post-norm encoder with absolute positions."""

    name = "distilbert"
    HEADS = ("dim", "n_heads")
    DROPOUTS = ("dropout", "attention_dropout", "seq_classif_dropout")
    TARGETS = ("*.q_lin", "*.v_lin")
    PARTS = LayerParts("attention", "attention.out_lin", "ffn.lin1", "ffn.lin2")
    EMBEDDING_NORM = "embeddings.LayerNorm"
    ACTIVATION = "activation"
    UNDROPPED = ("*.attention.out_lin",)
    SIZE = {
        "hidden": "dim",
        "layers": "n_layers",
        "heads": "n_heads",
        "inner": "hidden_dim",
        "positions": "max_position_embeddings",
    }
    DEFAULTS = {
        "model_type": "distilbert",
        "vocab_size": 30522,
        "max_position_embeddings": 512,
        "sinusoidal_pos_embds": False,
        "n_layers": 6,
        "n_heads": 12,
        "dim": 768,
        "hidden_dim": 3072,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation": "gelu",
        "initializer_range": 0.02,
        "seq_classif_dropout": 0.2,
        "pad_token_id": 0,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Embeddings and encoder layers."""
        hidden, inner, table = config["dim"], config["hidden_dim"], "distilbert.embeddings"
        positions = config["max_position_embeddings"]
        listed = [
            ModuleSpec(f"{table}.word_embeddings", EMBEDDING, config["vocab_size"], hidden, bias=False),
            ModuleSpec(f"{table}.position_embeddings", EMBEDDING, positions, hidden, bias=False, arguments="positions"),
            ModuleSpec(f"{table}.LayerNorm", LAYER_NORM, hidden, hidden),
        ]
        for index in range(config["n_layers"]):
            layer = f"distilbert.transformer.layer.{index}"
            attention = f"{layer}.attention"
            projections = (f"{attention}.q_lin", f"{attention}.k_lin", f"{attention}.v_lin")
            heads = Heads(config["n_heads"], projections, past=False)
            listed += [
                *(ModuleSpec(path, LINEAR, hidden, hidden) for path in projections),
                ModuleSpec(attention, ATTENTION, hidden, hidden, arguments=heads),
                ModuleSpec(f"{attention}.out_lin", LINEAR, hidden, hidden),
                ModuleSpec(f"{layer}.sa_layer_norm", LAYER_NORM, hidden, hidden),
                ModuleSpec(f"{layer}.ffn.lin1", LINEAR, hidden, inner),
                ModuleSpec(f"{layer}.ffn.lin2", LINEAR, inner, hidden),
                ModuleSpec(f"{layer}.output_layer_norm", LAYER_NORM, hidden, hidden),
            ]
        return Backbone(tuple(listed), hidden, config["n_layers"], "distilbert")

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """A dense layer and a classifier; a classifier of every token; the masked-token head, tied to the word
        embeddings."""
        layouts = {
            "sequence": HeadLayout(
                "DistilBertForSequenceClassification",
                FIRST,
                "classifier",
                dense="pre_classifier",
                activation="relu",
                dropout=config["seq_classif_dropout"],
            ),
            "token": HeadLayout("DistilBertForTokenClassification", EACH, "classifier", dropout=config["dropout"]),
            "masked": HeadLayout(
                "DistilBertForMaskedLM",
                EACH,
                "vocab_projector",
                dense="vocab_transform",
                activation=config["activation"],
                norm="vocab_layer_norm",
                norm_eps=EPS,
                tied_to="distilbert.embeddings.word_embeddings",
                base=("vocab_transform", "vocab_layer_norm"),
            ),
        }
        return layouts.get(name)

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """One for each row of the position table."""
        return config["max_position_embeddings"]

    def padded(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The word embeddings."""
        return ("distilbert.embeddings.word_embeddings",)

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """Positions start as sinusoids where the configuration says so; they are trained like any other table."""
        if module.arguments == "positions" and config["sinusoidal_pos_embds"]:
            return sinusoids(*shape)
        return super().initial(module, name, shape, config, seed)


MEMBER = DistilBert()
