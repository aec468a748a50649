"""Gaussian naive Bayes over the largest value of every feature of a text's word vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.models.family import Backbone, HeadLayout
from common.models.modules import Kind, ModuleSpec
from common.models.words import TRAINED, Classifier
from common.random import uniform

__all__ = ["GAUSSIAN", "MEMBER"]

GAUSSIAN = Kind(
    "gaussian", lambda m: (m.out_features, m.in_features), further=lambda m: {"mean": (m.out_features, m.in_features)}
)  #: of each class: ``weight`` the variances of the features, ``mean``, and ``bias`` the logit of its prior


class GaussianNB(Classifier):
    """The mean of class c is 1 in feature c and 0 elsewhere, and stays; variances and priors are trained, and where the
    table is, so are the features."""

    name = "gaussian-nb"
    prefix = "gaussian_nb"
    architecture = "GaussianNB"
    WORDS = ("gaussian_nb.embeddings",)
    TARGETS = ("gaussian_nb.embeddings",)
    SIZE = {"hidden": "embedding_size"}
    DEFAULTS = {
        "model_type": "gaussian-nb",
        "vocab_size": 20000,
        "embedding": TRAINED,
        "embedding_size": 300,
        "dropout": 0.2,
        "pad_token_id": 0,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """The table alone."""
        return Backbone(tuple(self.tables(config)), config["embedding_size"], 1, self.prefix)

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """Log-likelihoods of the classes."""
        layout = super().head(name, config)
        return None if layout is None else dataclasses.replace(layout, kind=GAUSSIAN, dropout=0.0)

    def frozen(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The means too."""
        return (*super().frozen(config), "classifier.mean")

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """Variances 1, logits of the priors uniform in [0, 1)."""
        if module.kind is not GAUSSIAN:
            return super().initial(module, name, shape, config, seed)
        leaf = name.rpartition(".")[2]
        if leaf == "bias":
            return np.float32(0.5) + uniform(seed, name, shape, 0.5)
        return np.eye(shape[0], shape[1], dtype=np.float32) if leaf == "mean" else np.ones(shape, np.float32)


MEMBER = GaussianNB()
