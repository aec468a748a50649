"""RoBERTa (Liu et al. 2019): BERT's encoder with positions that begin after the padding index, and heads of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.models.families.bert import Bert
from common.models.family import ATTENTION_MASK, EACH, FIRST, INPUT_IDS, HeadLayout

__all__ = ["MEMBER", "Roberta"]


class Roberta(Bert):
    """Every token is of type 0. Row ``pad_token_id`` of the position table belongs to padding, the row after it to the
    first token, and those before it to none."""

    name = "roberta"
    prefix = "roberta"
    architecture = "Roberta"  #: of ``transformers``: what its networks' names begin with
    INPUTS = (INPUT_IDS, ATTENTION_MASK)
    OPTIONAL = ("roberta.pooler.dense",)
    DEFAULTS = {
        **Bert.DEFAULTS,
        "model_type": name,
        "vocab_size": 50265,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """A dense layer and a classifier; a classifier of every token; the masked-token head, tied to the word
        embeddings."""
        classifier = config["classifier_dropout"]
        dropout = config["hidden_dropout_prob"] if classifier is None else classifier
        layouts = {
            "sequence": HeadLayout(
                f"{self.architecture}ForSequenceClassification",
                FIRST,
                "classifier.out_proj",
                dense="classifier.dense",
                dropout=dropout,
                dropout_path="classifier.dropout",
                dense_dropout=dropout,
                dense_dropout_path="classifier.dense_dropout",
            ),
            "token": HeadLayout(f"{self.architecture}ForTokenClassification", EACH, "classifier", dropout=dropout),
            "masked": HeadLayout(
                f"{self.architecture}ForMaskedLM",
                EACH,
                "lm_head.decoder",
                dense="lm_head.dense",
                activation="gelu",
                norm="lm_head.layer_norm",
                norm_eps=config["layer_norm_eps"],
                tied_to=f"{self.prefix}.embeddings.word_embeddings",
                added="lm_head",
                base=("lm_head.dense", "lm_head.layer_norm"),
            ),
        }
        return layouts.get(name)

    def positions(self, config: Mapping[str, Any]) -> int:
        """One for each row of the position table after that of padding."""
        return config["max_position_embeddings"] - config["pad_token_id"] - 1

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """Another padding index than the checkpoint's, which would move every position, or one without positions."""
        yield from super().problems(config, given)
        padding = config["pad_token_id"]
        trained = given.get("pad_token_id", self.DEFAULTS["pad_token_id"]) if given else padding
        if padding is None:
            yield "pad_token_id must be given, since positions begin after it"
        elif padding != trained:
            yield (
                f"the tokenizer must pad with the checkpoint's padding id {trained}, after which its positions begin; "
                f"it pads with {padding}. Use the tokenizer of the checkpoint"
            )
        elif self.positions(config) < 1:
            yield (
                f"max_position_embeddings must exceed the padding id + 1, after which positions begin; received "
                f"{config['max_position_embeddings']} and {padding}"
            )

    def padded(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Word and position embeddings."""
        return tuple(f"{self.prefix}.embeddings.{table}_embeddings" for table in ("word", "position"))

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """``positions`` are those a sequence may have."""
        entries = super().tiny(**sizes)
        unused = self.DEFAULTS["pad_token_id"] + 1
        return entries | {"max_position_embeddings": entries["max_position_embeddings"] + unused}


MEMBER = Roberta()
