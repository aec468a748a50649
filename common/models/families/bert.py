"""BERT (Devlin et al. 2019)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from common.backend.batch import Field
from common.models.family import (
    ATTENTION_MASK,
    EACH,
    FIRST,
    INPUT_IDS,
    TOKEN_TYPE_IDS,
    Backbone,
    Family,
    HeadLayout,
    LayerParts,
)
from common.models.modules import ATTENTION, EMBEDDING, LAYER_NORM, LINEAR, Heads, ModuleSpec

__all__ = ["MEMBER", "Bert", "encoder_layer"]


def encoder_layer(layer: str, hidden: int, inner: int, heads: int) -> list[ModuleSpec]:
    """A post-norm encoder layer under BERT's names, which several families share."""
    attention = f"{layer}.attention.self"
    projections = (f"{attention}.query", f"{attention}.key", f"{attention}.value")
    return [
        *(ModuleSpec(path, LINEAR, hidden, hidden) for path in projections),
        ModuleSpec(attention, ATTENTION, hidden, hidden, arguments=Heads(heads, projections)),
        ModuleSpec(f"{layer}.attention.output.dense", LINEAR, hidden, hidden),
        ModuleSpec(f"{layer}.attention.output.LayerNorm", LAYER_NORM, hidden, hidden),
        ModuleSpec(f"{layer}.intermediate.dense", LINEAR, hidden, inner),
        ModuleSpec(f"{layer}.output.dense", LINEAR, inner, hidden),
        ModuleSpec(f"{layer}.output.LayerNorm", LAYER_NORM, hidden, hidden),
    ]


class Bert(Family):
    """Post-norm encoder with absolute positions and token types."""

    name = "bert"
    prefix: ClassVar[str] = "bert"  #: of every module of the encoder
    INPUTS: ClassVar[tuple[Field, ...]] = (INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS)
    DROPOUTS: ClassVar[tuple[str, ...]] = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    TARGETS = ("*.query", "*.value")
    PARTS: ClassVar[LayerParts | None] = LayerParts(
        "attention.self", "attention.output.dense", "intermediate.dense", "output.dense"
    )
    EMBEDDING_NORM = "embeddings.LayerNorm"
    OPTIONAL: ClassVar[tuple[str, ...]] = ("bert.pooler.dense",)
    SIZE = {
        "hidden": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "inner": "intermediate_size",
        "positions": "max_position_embeddings",
    }
    DEFAULTS = {
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

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Embeddings and encoder layers."""
        hidden = config["hidden_size"]
        listed = (*self.embeddings(config, hidden), *self.layers(config))
        return Backbone(listed, hidden, config["num_hidden_layers"], self.prefix)

    def embeddings(self, config: Mapping[str, Any], width: int) -> list[ModuleSpec]:
        """Tables of ``width`` and the norm of their sum."""
        table, positions = f"{self.prefix}.embeddings", config["max_position_embeddings"]
        return [
            ModuleSpec(f"{table}.word_embeddings", EMBEDDING, config["vocab_size"], width, bias=False),
            ModuleSpec(f"{table}.position_embeddings", EMBEDDING, positions, width, bias=False, arguments="positions"),
            ModuleSpec(f"{table}.token_type_embeddings", EMBEDDING, config["type_vocab_size"], width, bias=False),
            ModuleSpec(f"{table}.LayerNorm", LAYER_NORM, width, width),
        ]

    def layers(self, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """All encoder layers."""
        sizes = (config["hidden_size"], config["intermediate_size"], config["num_attention_heads"])
        paths = (f"{self.prefix}.encoder.layer.{index}" for index in range(config["num_hidden_layers"]))
        return [module for path in paths for module in encoder_layer(path, *sizes)]

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """Pooler and classifier; classifier of every token; the masked-token head, tied to the word embeddings; the same
        with a classifier of pairs beside it."""
        classifier = config["classifier_dropout"]
        dropout = config["hidden_dropout_prob"] if classifier is None else classifier
        pooler, predictions = f"{self.prefix}.pooler.dense", "cls.predictions"
        layouts = {
            "sequence": HeadLayout(
                "BertForSequenceClassification",
                FIRST,
                "classifier",
                dense=pooler,
                dropout=dropout,
                base=(pooler,),
            ),
            "token": HeadLayout("BertForTokenClassification", EACH, "classifier", dropout=dropout),
            "masked": HeadLayout(
                "BertForMaskedLM",
                EACH,
                f"{predictions}.decoder",
                dense=f"{predictions}.transform.dense",
                activation=config["hidden_act"],
                norm=f"{predictions}.transform.LayerNorm",
                norm_eps=config["layer_norm_eps"],
                tied_to=f"{self.prefix}.embeddings.word_embeddings",
                added=predictions,
                base=(f"{predictions}.transform.dense", f"{predictions}.transform.LayerNorm"),
            ),
        }
        second = HeadLayout("", FIRST, "cls.seq_relationship", outputs=2, dense=pooler, dropout_path="next_dropout")
        layouts["pretraining"] = dataclasses.replace(
            layouts["masked"],
            architecture="BertForPreTraining",
            base=(*layouts["masked"].base, pooler, second.output),
            beside=dataclasses.replace(second, dense_dropout_path="next_dense_dropout"),
        )
        return layouts.get(name)

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """A decoder, and positions that are not absolute."""
        for entry in ("is_decoder", "add_cross_attention"):
            if config.get(entry):
                yield f"{entry} must be false, since {self.name} is an encoder here"
        kind = config.get("position_embedding_type") or "absolute"
        if kind != "absolute":
            yield f"position_embedding_type must be 'absolute'; received {kind!r}"

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """One for each row of the position table."""
        return config["max_position_embeddings"]

    def padded(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The word embeddings."""
        return (f"{self.prefix}.embeddings.word_embeddings",)


MEMBER = Bert()
