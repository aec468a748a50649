"""Recurrent networks with tanh, LSTM or GRU cells (Elman 1990; Hochreiter and Schmidhuber 1997; Cho et al. 2014)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.models.family import EACH, LAST, Backbone, Family, HeadLayout
from common.models.modules import EMBEDDING, ModuleSpec
from common.models.recurrence import CELLS, Recurrence, recurrent

__all__ = ["MEMBER", "Rnn"]


class Rnn(Family):
    """A table of tokens, or frames of ``frame_width`` numbers, and recurrent layers. It is no network of
    `transformers`."""

    name = "rnn"
    HEADS = ()
    DROPOUTS = ("dropout", "embedding_dropout", "output_dropout")
    TARGETS = ("rnn.embeddings",)
    WORDS = ("rnn.embeddings",)
    COUNTED = False
    SIZE = {"hidden": "hidden_size", "layers": "num_layers", "inner": "embedding_size"}
    DEFAULTS = {
        "model_type": "rnn",
        "cell": "lstm",
        "vocab_size": 10000,
        "embedding_size": 128,
        "hidden_size": 256,
        "num_layers": 1,
        "bidirectional": False,
        "frame_width": 0,
        "dropout": 0.0,
        "embedding_dropout": 0.0,
        "recurrent_dropout": 0.0,
        "output_dropout": 0.0,
        "forget_bias": 1.0,
        "initializer_range": 0.1,
        "pad_token_id": 0,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """The table and the layers."""
        layers = Recurrence(
            config["cell"],
            config["hidden_size"],
            config["num_layers"],
            config["bidirectional"],
            config["forget_bias"],
        )
        width = config["frame_width"] or config["embedding_size"]
        table = ModuleSpec("rnn.embeddings", EMBEDDING, config["vocab_size"], width, bias=False)
        listed = () if config["frame_width"] else (table,)
        return Backbone((*listed, recurrent("rnn.layers", width, layers)), layers.width, layers.layers, self.name)

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """The next token or frame, which layers that read from the left alone can be asked for; the last token's class,
        and one for each token."""
        dropout, framed = config["output_dropout"], config["frame_width"] > 0
        layouts = {
            "causal": HeadLayout("RnnForCausalLM", EACH, "lm_head", dropout=dropout, words=True),
            "frames": HeadLayout("RnnForFrames", EACH, "frame_head", dropout=dropout, outputs=config["frame_width"]),
            "sequence": HeadLayout("RnnForSequenceClassification", LAST, "classifier", dropout=dropout),
            "token": HeadLayout("RnnForTokenClassification", EACH, "classifier", dropout=dropout),
        }
        forward = name in ("causal", "frames")
        if (forward and config["bidirectional"]) or framed != (name == "frames"):
            return None
        return layouts.get(name)

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """A cell that does not exist."""
        if config["cell"] not in CELLS:
            yield f"cell must be one of {', '.join(CELLS)}; received {config['cell']!r}"

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """None."""
        return None

    def padded(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The table."""
        return self.WORDS


MEMBER = Rnn()
