"""Densely connected convolutions under dynamic self-attention (Yoon et al. 2018, arXiv 1808.07383)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.models.dense_columns import DenseColumns
from common.models.family import Backbone
from common.models.modules import LINEAR, ModuleSpec
from common.models.words import condensed

__all__ = ["MEMBER"]


class DenseNetDSA(DenseColumns):
    """The trunk with leaky rectifiers, and several dynamic self-attentions side by side instead of windows."""

    name = "densenet-dsa"
    prefix = "densenet_dsa"
    architecture = "DenseNetDSA"
    WORDS = ("densenet_dsa.embeddings",)
    TARGETS = ("densenet_dsa.attention.projection", "densenet_dsa.condensed.linear")
    DEFAULTS = {
        "model_type": "densenet-dsa",
        **DenseColumns.DEFAULTS,
        "kernel_sizes": [[1, 1], [3, 3], [5, 5], [7, 7], [9, 9]],
        "attention_heads": 8,
        "attention_size": 300,
        "attention_steps": 2,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Table, trunk, the projections of all attentions as one, and the hidden layer."""
        heads = config["attention_heads"] * config["attention_size"]
        modules = (
            *self.tables(config),
            *self.trunk(config),
            ModuleSpec(f"{self.prefix}.attention.projection", LINEAR, config["trunk_size"], heads),
            *condensed(f"{self.prefix}.condensed", heads, config["condensed_size"]),
        )
        return Backbone(modules, config["condensed_size"], 1, self.prefix)

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """With narrow attentions."""
        found = super().tiny(**sizes)
        return {**found, "attention_heads": 2, "attention_size": found["embedding_size"] // 2}


MEMBER = DenseNetDSA()
