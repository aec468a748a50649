"""MPNet (Song et al. 2020): RoBERTa's encoder without token types, whose attention has a trained bias for the distance of
two positions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from common.models.families.roberta import Roberta
from common.models.family import Backbone, HeadLayout
from common.models.modules import ATTENTION, EMBEDDING, LAYER_NORM, LINEAR, Heads, ModuleSpec

__all__ = ["BUCKETS", "MEMBER", "MPNet", "buckets"]

BUCKETS, _FARTHEST = 32, 128  #: of distances; transformers computes with these whatever the configuration says


def buckets(length: int) -> np.ndarray:
    """Which bias a query (row) has for a key (column), int32 ``(length, length)``: small distances each have one, larger
    ones share some on a logarithmic scale, and keys behind the query have those from ``BUCKETS / 2`` on."""
    positions = np.arange(length)
    distance = positions[None, :] - positions[:, None]
    each, exact = BUCKETS // 2, BUCKETS // 4
    far = np.maximum(np.abs(distance), 1).astype(np.float32) / np.float32(exact)
    scale = np.log(far) / np.float32(math.log(_FARTHEST / exact)) * np.float32(each - exact)
    large = np.minimum(exact + scale.astype(np.int64), each - 1)
    found = np.where(np.abs(distance) < exact, np.abs(distance), large) + (distance > 0) * each
    return found.astype(np.int32)


class MPNet(Roberta):
    """All layers share the table of biases, which has a column for each head."""

    name = "mpnet"
    prefix = "mpnet"
    architecture = "MPNet"
    OPTIONAL = ("mpnet.pooler.dense",)
    DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    TARGETS = ("*.attn.q", "*.attn.v")
    PARTS = None  # a table of biases has a column for each head of every layer
    DEFAULTS = {
        **{
            name: value
            for name, value in Roberta.DEFAULTS.items()
            if name not in ("classifier_dropout", "type_vocab_size")
        },
        "model_type": name,
        "vocab_size": 30527,
        "relative_attention_num_buckets": BUCKETS,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Embeddings, the table of biases and encoder layers."""
        hidden, rows = config["hidden_size"], config["relative_attention_num_buckets"]
        tables = [
            module for module in self.embeddings({**config, "type_vocab_size": 1}, hidden) if "type" not in module.path
        ]
        bias = f"{self.prefix}.encoder.relative_attention_bias"
        listed = (
            *tables,
            ModuleSpec(bias, EMBEDDING, rows, config["num_attention_heads"], bias=False),
            *self.layers(config),
        )
        return Backbone(listed, hidden, config["num_hidden_layers"], self.prefix)

    def layers(self, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """All encoder layers."""
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        listed = []
        for index in range(config["num_hidden_layers"]):
            layer = f"{self.prefix}.encoder.layer.{index}"
            attention = f"{layer}.attention.attn"
            projections = (f"{attention}.q", f"{attention}.k", f"{attention}.v")
            heads = Heads(config["num_attention_heads"], projections, past=False)
            listed += [
                *(ModuleSpec(path, LINEAR, hidden, hidden) for path in projections),
                ModuleSpec(attention, ATTENTION, hidden, hidden, arguments=heads),
                ModuleSpec(f"{attention}.o", LINEAR, hidden, hidden),
                ModuleSpec(f"{layer}.attention.LayerNorm", LAYER_NORM, hidden, hidden),
                ModuleSpec(f"{layer}.intermediate.dense", LINEAR, hidden, inner),
                ModuleSpec(f"{layer}.output.dense", LINEAR, inner, hidden),
                ModuleSpec(f"{layer}.output.LayerNorm", LAYER_NORM, hidden, hidden),
            ]
        return listed

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """RoBERTa's, with the dropout of the hidden states."""
        return super().head(name, {**config, "classifier_dropout": None})

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """What RoBERTa refuses, another padding index than 1, which transformers does not read, and fewer biases than
        it computes with."""
        yield from super().problems(config, given)
        if config["pad_token_id"] != 1:
            yield f"pad_token_id must be 1, which transformers counts positions with; received {config['pad_token_id']!r}"
        rows = config["relative_attention_num_buckets"]
        if rows < BUCKETS:
            yield f"relative_attention_num_buckets must be at least {BUCKETS}; received {rows}"


MEMBER = MPNet()
