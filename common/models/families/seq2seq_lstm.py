"""Sequence to sequence with LSTMs (Sutskever et al. 2014)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.models.family import ATTENTION_MASK, DECODER_INPUT_IDS, INPUT_IDS, WRITTEN, Backbone, Family, HeadLayout
from common.models.modules import EMBEDDING, ModuleSpec
from common.models.recurrence import Recurrence, recurrent
from common.random import uniform

__all__ = ["MEMBER", "Seq2SeqLSTM"]


class Seq2SeqLSTM(Family):
    """The state of the encoder after the source is the one that the decoder begins with; there is no attention.

    Whether the source is read from its end is an option of the task, since it is a matter of the data.
    """

    name = "seq2seq-lstm"
    INPUTS = (INPUT_IDS, ATTENTION_MASK, DECODER_INPUT_IDS)
    HEADS = ()
    DROPOUTS = ("dropout",)
    TARGETS = ("*.embed_tokens",)
    COUNTED = False
    SIZE = {"hidden": "hidden_size", "inner": "embedding_size", "layers": "num_layers"}
    DEFAULTS = {
        "model_type": "seq2seq-lstm",
        "vocab_size": 80000,
        "embedding_size": 1000,
        "hidden_size": 1000,
        "num_layers": 4,  # of the encoder, and as many of the decoder
        "dropout": 0.0,  # of the embeddings, between layers and of the states; the paper has none
        "initializer_range": 0.08,
        "pad_token_id": 0,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """A table and an LSTM for each of both sequences."""
        width, hidden = config["embedding_size"], config["hidden_size"]
        listed = []
        for part in ("encoder", "decoder"):
            table = ModuleSpec(f"model.{part}.embed_tokens", EMBEDDING, config["vocab_size"], width, bias=False)
            listed += [table, recurrent(f"model.{part}.lstm", width, Recurrence("lstm", hidden, config["num_layers"]))]
        return Backbone(tuple(listed), hidden, 2 * config["num_layers"], "model")

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """A softmax over the vocabulary."""
        if name != WRITTEN:
            return None
        output = "lm_head"
        return HeadLayout("Seq2SeqLSTM", WRITTEN, output, False, output_bias=False, words=True, base=(output,))

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """Any number."""
        return None

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """Everything uniform within +-0.08, as published (section 3.4)."""
        return uniform(seed, name, shape, config["initializer_range"])


MEMBER = Seq2SeqLSTM()
