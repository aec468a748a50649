"""A convolutional classifier with a hidden layer: windows of several widths, their largest answers, a norm, a linear
layer and another norm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.models.family import Backbone
from common.models.words import TRAINED, Classifier, condensed, sizes_problem, windows

__all__ = ["MEMBER"]


class CNNClassifier(Classifier):
    """Windows begin at every word and read zeros behind the text."""

    name = "cnn-classifier"
    prefix = "cnn_classifier"
    architecture = "CNNClassifier"
    WORDS = ("cnn_classifier.embeddings",)
    TARGETS = ("cnn_classifier.condensed.linear",)
    SIZE = {"hidden": "embedding_size", "inner": "filters"}
    DEFAULTS = {
        "model_type": "cnn-classifier",
        "vocab_size": 20000,
        "embedding": TRAINED,
        "embedding_size": 300,
        "filters": 256,
        "kernel_sizes": [2, 3, 4, 5, 6],
        "condensed_size": 256,
        "dropout": 0.2,
        "pad_token_id": 0,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Table, convolutions and the hidden layer."""
        width, filters, sizes = config["embedding_size"], config["filters"], config["kernel_sizes"]
        modules = (
            *self.tables(config),
            *windows(f"{self.prefix}.windows", width, filters, sizes),
            *condensed(f"{self.prefix}.condensed", filters * len(sizes), config["condensed_size"]),
        )
        return Backbone(modules, config["condensed_size"], 1, self.prefix)

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """Widths that are none."""
        yield from super().problems(config, given)
        yield from sizes_problem("kernel_sizes", config["kernel_sizes"])

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """With a narrow hidden layer."""
        found = super().tiny(**sizes)
        return {**found, "condensed_size": found["embedding_size"]}


MEMBER = CNNClassifier()
