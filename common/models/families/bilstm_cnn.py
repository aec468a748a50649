"""BiLSTM-CNN (Ma and Hovy 2016): vectors of words, a convolution over their characters, an LSTM in both directions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from common.backend.batch import Field
from common.data.characters import ROWS
from common.models.family import ATTENTION_MASK, CHARACTERS, EACH, INPUT_IDS, Backbone, Family, HeadLayout
from common.models.modules import CONVOLUTION, EMBEDDING, ModuleSpec, Window
from common.models.recurrence import Recurrence, recurrent
from common.random import uniform

__all__ = ["MEMBER", "BilstmCnn"]


class BilstmCnn(Family):
    """With ``character_filters: 0`` the characters are left out. It is no network of `transformers`."""

    name = "bilstm-cnn"
    prefix: ClassVar[str] = "bilstm_cnn"  #: of every module
    INPUTS: ClassVar[tuple[Field, ...]] = (INPUT_IDS, ATTENTION_MASK, CHARACTERS)
    HEADS = ()
    DROPOUTS = ("dropout",)
    TARGETS = ("bilstm_cnn.words",)
    WORDS = ("bilstm_cnn.words",)
    COUNTED = False
    SIZE = {"hidden": "word_size", "layers": "num_layers", "inner": "lstm_size"}
    DEFAULTS = {
        "model_type": "bilstm-cnn",
        "vocab_size": 10000,
        "word_size": 100,
        "character_rows": ROWS,
        "character_size": 30,
        "character_filters": 30,
        "character_kernel": 3,
        "lstm_size": 200,
        "num_layers": 1,
        "dropout": 0.5,
        "recurrent_dropout": 0.0,
        "variational_dropout": False,
        "forget_bias": 1.0,
        "initializer_range": 0.02,
        "pad_token_id": 0,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Tables, convolution and LSTM."""
        width, filters, kernel = (config[f"character_{entry}"] for entry in ("size", "filters", "kernel"))
        characters = (
            ModuleSpec("bilstm_cnn.characters.table", EMBEDDING, config["character_rows"], width, bias=False),
            ModuleSpec("bilstm_cnn.characters.convolution", CONVOLUTION, width, filters, arguments=Window((kernel,))),
        )
        layers = Recurrence("lstm", config["lstm_size"], config["num_layers"], True, config["forget_bias"])
        listed = (
            ModuleSpec("bilstm_cnn.words", EMBEDDING, config["vocab_size"], config["word_size"], bias=False),
            *(characters if filters else ()),
            recurrent("bilstm_cnn.lstm", config["word_size"] + filters, layers),
        )
        return Backbone(listed, layers.width, layers.layers, self.prefix)

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """One class for each word."""
        if name != "token":
            return None
        return HeadLayout("BilstmCnnForTokenClassification", EACH, "classifier", dropout=config["dropout"])

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """A convolution without a middle."""
        if config["character_kernel"] % 2 == 0:
            yield f"character_kernel must be odd; received {config['character_kernel']}"

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """None."""
        return None

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """Tables uniform within sqrt(3 / width), the convolution as Glorot and Bengio (2010), as in the paper."""
        if module.kind is EMBEDDING:
            value = uniform(seed, name, shape, math.sqrt(3.0 / shape[1]))
            value[0 if module.path not in self.WORDS else config["pad_token_id"] or 0] = 0.0
            return value
        if module.kind is CONVOLUTION and name not in module.biases():
            fans = (shape[0] + shape[1]) * shape[2]
            return uniform(seed, name, shape, math.sqrt(6.0 / fans))
        return super().initial(module, name, shape, config, seed)


MEMBER = BilstmCnn()
