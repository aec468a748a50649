"""ELECTRA (Clark et al. 2020): BERT's encoder, which may have narrower embeddings, and heads of its own for both
networks of its pre-training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.models.families.bert import Bert
from common.models.family import EACH, FIRST, Backbone, HeadLayout
from common.models.modules import LINEAR, ModuleSpec

__all__ = ["MEMBER", "Electra"]


class Electra(Bert):
    """Tables and their norm have ``embedding_size``; behind them is ``embeddings_project`` where that is not the width of
    the layers."""

    name = "electra"
    prefix = "electra"
    OPTIONAL = ()
    DEFAULTS = {
        **Bert.DEFAULTS,
        "model_type": name,
        "embedding_size": 128,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Embeddings, their projection if there is one, and encoder layers."""
        narrow, hidden = config["embedding_size"], config["hidden_size"]
        listed = self.embeddings(config, narrow)
        if narrow != hidden:
            listed.append(ModuleSpec(f"{self.prefix}.embeddings_project", LINEAR, narrow, hidden))
        listed += self.layers(config)
        return Backbone(tuple(listed), hidden, config["num_hidden_layers"], self.prefix)

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """A dense layer and a classifier; a classifier of every token; the generator's masked-token head, tied to the
        word embeddings; the discriminator's, which gives one number for every token: whether it was replaced."""
        classifier, masked, replaced = (
            config["classifier_dropout"],
            "generator_predictions",
            "discriminator_predictions",
        )
        dropout = config["hidden_dropout_prob"] if classifier is None else classifier
        layouts = {
            "sequence": HeadLayout(
                "ElectraForSequenceClassification",
                FIRST,
                "classifier.out_proj",
                dense="classifier.dense",
                activation="gelu",
                dropout=dropout,
                dropout_path="classifier.dropout",
                dense_dropout=dropout,
                dense_dropout_path="classifier.dense_dropout",
            ),
            "token": HeadLayout("ElectraForTokenClassification", EACH, "classifier", dropout=dropout),
            "masked": HeadLayout(
                "ElectraForMaskedLM",
                EACH,
                "generator_lm_head",
                dense=f"{masked}.dense",
                width=config["embedding_size"],
                activation="gelu",
                norm=f"{masked}.LayerNorm",
                norm_eps=config["layer_norm_eps"],
                tied_to=f"{self.prefix}.embeddings.word_embeddings",
                base=(f"{masked}.dense", f"{masked}.LayerNorm"),
            ),
            "replaced": HeadLayout(
                "ElectraForPreTraining",
                EACH,
                f"{replaced}.dense_prediction",
                outputs=1,
                dense=f"{replaced}.dense",
                activation=config["hidden_act"],
                base=(f"{replaced}.dense", f"{replaced}.dense_prediction"),
            ),
        }
        return layouts.get(name)

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """A decoder, positions that are not absolute, and embeddings without a width."""
        yield from super().problems(config, given)
        if config["embedding_size"] < 1:
            yield f"embedding_size must be at least 1; received {config['embedding_size']}"

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """With embeddings that are narrower than the layers."""
        entries = super().tiny(**sizes)
        return entries | {"embedding_size": max(1, entries["hidden_size"] // 2)}


MEMBER = Electra()
