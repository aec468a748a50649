"""TextCNN (Kim 2014, "Convolutional Neural Networks for Sentence Classification").

The four variants of the paper are configurations: CNN-rand is ``embedding: trained`` without vectors, CNN-static
``static`` and CNN-non-static ``trained`` with ``model.vectors``, CNN-multichannel ``multichannel`` with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.models.family import Backbone
from common.models.words import BOTH, STATIC, TRAINED, Classifier, sizes_problem, windows

__all__ = ["MEMBER"]


class TextCNN(Classifier):
    """Windows of several widths over words, the largest answer of each filter, dropout and a linear layer."""

    name = "textcnn"
    prefix = "textcnn"
    architecture = "TextCNN"
    EMBEDDINGS = (TRAINED, STATIC, BOTH)
    WORDS = ("textcnn.embeddings", "textcnn.static_embeddings")
    TARGETS = ("textcnn.embeddings",)
    SIZE = {"hidden": "embedding_size", "inner": "filters"}
    DEFAULTS = {
        "model_type": "textcnn",
        "vocab_size": 20000,
        "embedding": TRAINED,
        "embedding_size": 300,
        "filters": 100,
        "kernel_sizes": [3, 4, 5],
        "dropout": 0.5,
        "pad_token_id": 0,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Tables and convolutions."""
        width, filters, sizes = config["embedding_size"], config["filters"], config["kernel_sizes"]
        modules = (*self.tables(config), *windows("textcnn.windows", width, filters, sizes))
        return Backbone(modules, filters * len(sizes), 1, self.prefix)

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """Widths that are none."""
        yield from super().problems(config, given)
        yield from sizes_problem("kernel_sizes", config["kernel_sizes"])


MEMBER = TextCNN()
