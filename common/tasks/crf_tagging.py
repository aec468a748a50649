"""Tags of words as one chain: a linear-chain conditional random field over the outputs of a token head (Lafferty et al.
2001), decoded by Viterbi's algorithm.

Any family with a head for tokens takes it. The chain goes through the first token of every word; the loss of a sentence
is divided by its tagged words, so that it compares with that of single tags. A word without a tag is part of the chain,
and may have any.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.backend.batch import IGNORE, Batch, Field
from common.chains import allowed, scheme_of, viterbi
from common.data.words import spans_only
from common.errors import InputError
from common.models.family import HeadLayout
from common.models.specs import ModelSpec
from common.spans import has_spans
from common.tasks.task import Draw
from common.tasks.token_classification import TaggingOptions, TokenClassification

__all__ = ["MEMBER", "ChainOptions", "CrfTagging"]


@dataclass(frozen=True)
class ChainOptions(TaggingOptions):
    """How spans are tagged and decoded."""

    constrained: bool = False  #: whether Viterbi's algorithm leaves out sequences that mark no spans, as O I-person


class CrfTagging(TokenClassification):
    """Negative log-likelihood of the tags of a sentence. Labels ``(batch, seq)`` int32, logits ``(batch, seq,
    labels)``, chain ``(batch, labels + 2, labels)``."""

    name = "crf-tagging"
    assumed = False
    FIELDS = (*TokenClassification.FIELDS, Field("words", ("batch", "seq"), padding=-1))
    outputs = ("logits", "chain")
    Options = ChainOptions
    options: ChainOptions

    def __init__(self, options: Any = None):
        super().__init__(options)
        if self.options.constrained and self.options.scheme is None:
            roles = (dataclasses.replace(role, read=spans_only) if role.target else role for role in self.roles)
            self.roles = tuple(roles)  # type: ignore[misc]  # as of `TokenClassification`

    def recognise(self, profile):
        """Never: a table of words and tags is read as token classification unless a user says otherwise."""
        return None

    def label_names(self, entry, tables):
        """As of token classification.

        Raises:
            InputError: the decoder is constrained to spans, and the tags mark none.
        """
        names = super().label_names(entry, tables)
        if self.options.constrained and not has_spans(names):
            raise InputError(
                "model.task_options.constrained is for tags that mark spans, such as B-person; the data have "
                f"{', '.join(names[:8])}. Remove it."
            )
        return names

    def layout(self, family: Any, config: Mapping[str, Any]) -> HeadLayout | None:
        """The family's head for tokens, and the scores of a chain of its outputs."""
        found = super().layout(family, config)
        return None if found is None else dataclasses.replace(found, named=False, chain="crf")

    def best(self, outputs: Mapping[str, np.ndarray], words: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """The most probable sequence of tags of each row."""
        permitted = None
        if self.options.constrained:
            permitted = allowed(names, scheme_of(names))
        return viterbi(outputs["logits"], words, outputs["chain"][0], permitted)

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Words at two of three real positions, and a tag for four of five of them."""
        targets = super().example_targets(spec, inputs, draw)
        begins = targets["labels"] != IGNORE
        known = draw("known", begins.shape, 0, 5) > 0
        known[:, 0] = True
        words = np.where(begins, begins.cumsum(1) - 1, -1)
        labels = np.where(known, targets["labels"], IGNORE)
        return {"labels": labels.astype(np.int32), "words": words.astype(np.int32)}


MEMBER = CrfTagging()
