"""Densely connected convolutions under a convolutional classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.models.dense_columns import DenseColumns
from common.models.family import Backbone
from common.models.modules import LAYER_NORM, ModuleSpec
from common.models.words import condensed, sizes_problem, windows

__all__ = ["MEMBER"]


class DenseNetCNN(DenseColumns):
    """The trunk, a norm, and the layers of a convolutional classifier."""

    name = "densenet-cnn"
    prefix = "densenet_cnn"
    architecture = "DenseNetCNN"
    WORDS = ("densenet_cnn.embeddings",)
    TARGETS = ("densenet_cnn.condensed.linear",)
    DEFAULTS = {
        "model_type": "densenet-cnn",
        **DenseColumns.DEFAULTS,
        "kernel_sizes": [[1, 1], [3, 3], [3, 5], [3, 7], [3, 9]],
        "window_filters": 256,
        "window_sizes": [2, 3, 4],
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Table, trunk, norm, windows and the hidden layer."""
        width, filters, sizes = config["trunk_size"], config["window_filters"], config["window_sizes"]
        modules = (
            *self.tables(config),
            *self.trunk(config),
            ModuleSpec(f"{self.prefix}.trunk_norm", LAYER_NORM, width, width),
            *windows(f"{self.prefix}.windows", width, filters, sizes),
            *condensed(f"{self.prefix}.condensed", filters * len(sizes), config["condensed_size"]),
        )
        return Backbone(modules, config["condensed_size"], 1, self.prefix)

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """Widths that are none."""
        yield from super().problems(config, given)
        yield from sizes_problem("window_sizes", config["window_sizes"])

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """With few filters."""
        found = super().tiny(**sizes)
        return {**found, "window_filters": found["embedding_size"]}


MEMBER = DenseNetCNN()
