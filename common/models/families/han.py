"""HAN, hierarchical attention networks for documents (Yang et al. 2016).

Documents are read sentence by sentence (`common.data.sentences`). With ``encoder: none`` and ``pooling: mean`` in
``model.config`` the network averages word vectors in each sentence and the sentences' vectors in a document; with
``pooling: mean`` alone it is the paper's HN-AVE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from common.models.family import IDS_OF_SENTENCES, MASK_OF_SENTENCES, Backbone
from common.models.modules import LINEAR, RECURRENT, ModuleSpec
from common.models.recurrence import Recurrence, initial, recurrent
from common.models.words import STATIC, TRAINED, Classifier

__all__ = ["MEMBER", "Han"]

_CHOICES = {"encoder": ("gru", "none"), "pooling": ("attention", "mean")}


class Han(Classifier):
    """Two levels, of words and of sentences, each a bidirectional GRU and attention to its states."""

    name = "han"
    prefix = "han"
    architecture = "Han"
    INPUTS = (IDS_OF_SENTENCES, MASK_OF_SENTENCES)
    EMBEDDINGS = (TRAINED, STATIC)
    WORDS = ("han.embeddings",)
    TARGETS = ("*_attention.dense",)
    SIZE = {"hidden": "hidden_size", "inner": "attention_size"}
    DEFAULTS = {
        "model_type": "han",
        "vocab_size": 20000,
        "embedding": TRAINED,
        "embedding_size": 200,
        "encoder": "gru",
        "hidden_size": 50,  # of one direction
        "pooling": "attention",
        "attention_size": 100,
        "dropout": 0.0,  # of word vectors and of the document's; the paper has none
        "pad_token_id": 0,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """The table, then the two levels."""
        listed, width = self.tables(config), config["embedding_size"]
        for level in ("word", "sentence"):
            if config["encoder"] == "gru":
                gru = recurrent(f"han.{level}_gru", width, Recurrence("gru", config["hidden_size"], bidirectional=True))
                listed.append(gru)
                width = gru.out_features
            if config["pooling"] == "attention":
                path, size = f"han.{level}_attention", config["attention_size"]
                listed.append(ModuleSpec(f"{path}.dense", LINEAR, width, size))
                listed.append(ModuleSpec(f"{path}.context", LINEAR, size, 1, bias=False))
        return Backbone(tuple(listed), width, 2, self.prefix)

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """An encoder or a pooling that is none."""
        yield from super().problems(config, given)
        for entry, known in _CHOICES.items():
            if config[entry] not in known:
                yield f"{entry} must be one of {', '.join(known)}; received {config[entry]!r}"

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """As the other networks of words; recurrent modules as `common.models.recurrence` says."""
        if module.kind is RECURRENT:
            return initial(module, name, shape, seed)
        return super().initial(module, name, shape, config, seed)


MEMBER = Han()
