"""BERT's pre-training (Devlin et al. 2019): hidden tokens, and whether the second of two segments follows the first.

The loss is the mean over the hidden tokens plus the mean over the pairs. Pairs are part of the data
(`common.data.sentence_pairs`) and depend on ``pair_seed``; ``passes`` over the documents each have others. Which tokens
are hidden is decided as in masked language modelling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from common.backend.batch import IGNORE, Batch, Field
from common.backend.contract import EvalResult
from common.data.documents import Kind
from common.data.encoding import Columns, Encoded, Ragged
from common.data.packing import columns_of
from common.data.sentence_pairs import sentence_pairs
from common.distributed import Group
from common.errors import InputError
from common.metrics import LANGUAGE, language_metrics, mean_loss
from common.models.specs import ModelSpec
from common.tasks.collecting import Sums
from common.tasks.masked_language_modeling import HidingOptions, MaskedLanguageModeling
from common.tasks.task import Draw, Evaluator

__all__ = ["MEMBER", "Pretraining", "PretrainingOptions"]

NEXT = "next_sentence_label"  #: as `transformers` calls it: 0 where the second segment follows the first, else 1


@dataclass(frozen=True)
class PretrainingOptions(HidingOptions):
    """What is hidden, and how pairs are made."""

    documents: Kind = "blank_lines"  #: what separates documents, see `common.data.documents`
    random_pairs: float = 0.5  #: share of the pairs whose second segment is from another document
    passes: int = 1  #: over the documents, each with other pairs; BERT's data had ten
    pair_seed: int = 0  #: of the pairs

    def problems(self) -> Iterator[tuple[str, str]]:
        """Values outside of their range."""
        yield from super().problems()
        if not 0 <= self.random_pairs <= 1:
            yield "random_pairs", f"must be between 0 and 1; received {self.random_pairs}"
        if self.passes < 1:
            yield "passes", f"must be 1 or more; received {self.passes}"
        if not 0 <= self.pair_seed < 2**32:
            yield "pair_seed", f"must be between 0 and {2**32 - 1}; received {self.pair_seed}"


class Pretraining(MaskedLanguageModeling):
    """``labels[b, t]`` as in masked language modelling; ``next_sentence_label[b]``; ``scale[b]`` weighs the second term
    of the loss of a row, see `weighted`."""

    name = "pretraining"
    head = "pretraining"
    FIELDS = (
        *MaskedLanguageModeling.FIELDS,
        Field(NEXT, ("batch",), padding=IGNORE, default=IGNORE),
        Field("scale", ("batch",), "float32", default=1.0),  # which it is in evaluation
    )
    outputs = ("right", "next_right", "next_loss")
    metrics = {**LANGUAGE, "accuracy": True, "masked_loss": False, "next_loss": False, "next_accuracy": True}
    Options = PretrainingOptions

    def layout(self, family, config):
        """Raises InputError where there are no types for two segments."""
        layout = super().layout(family, config)
        if layout is not None and config.get("type_vocab_size", 0) < 2:
            raise InputError(
                "Next-sentence prediction tells two segments apart by their types, so that type_vocab_size must be 2 or "
                f"more; received {config.get('type_vocab_size')}. Set it in model.config, or train masked-language-modeling."
            )
        return layout

    def recognise(self, profile):
        """Never: what is raw text may be anything."""
        return None

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """``input_ids``, ``token_type_ids``, ``words`` and the labels of the pairs."""
        self.check_tokenizer(tokenizer, max_length, pair=True)
        options = self.options
        pairs = sentence_pairs(
            list(rows["text"]),
            tokenizer,
            max_length,
            options.documents,
            options.random_pairs,
            options.pair_seed,
            options.passes,
        )
        columns = columns_of([pair.piece for pair in pairs])
        types = Ragged.of([pair.types for pair in pairs])
        labels = np.array([pair.label for pair in pairs], np.int32)
        return {**columns, "token_type_ids": types, NEXT: labels}, 0

    def ignored(self, batch: Batch) -> Batch:
        """Neither a token nor a pair is a target."""
        return {**super().ignored(batch), NEXT: np.full_like(batch[NEXT], IGNORE)}

    def weighted(self, micro_batches: Sequence[Batch]) -> list[Batch]:
        """The loss is divided by the number of hidden tokens; ``scale`` makes of the second term the mean over the
        pairs of the step."""
        tokens = sum(map(self.targets, micro_batches))
        pairs = sum(int((batch[NEXT] != IGNORE).sum()) for batch in micro_batches)
        scale = np.float32(tokens / max(pairs, 1))
        return [{**batch, "scale": np.full_like(batch["scale"], scale)} for batch in micro_batches]

    def evaluator(self, encoded: Encoded) -> Evaluator:
        """Loss of both parts, pseudo-perplexity and accuracy of the hidden tokens, accuracy of the pairs."""
        return _Evaluator()

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Hidden tokens, and pairs of both kinds."""
        rows = len(inputs["input_ids"])
        found = super().example_targets(spec, inputs, draw)
        return {**found, NEXT: draw(NEXT, (rows,), 0, 2), "scale": np.full(rows, 2.5, np.float32)}


class _Evaluator:
    def __init__(self) -> None:
        self._masked, self._next = Sums(), Sums()
        self._right, self._next_right = Sums(), Sums()

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        rows = len(indices)
        total = {name: float(output[:rows].sum(dtype=np.float64)) for name, output in result.outputs.items()}
        self._masked.update(result.loss_sum - total["next_loss"], int((batch["labels"][:rows] != IGNORE).sum()))
        self._next.update(total["next_loss"], int((batch[NEXT][:rows] != IGNORE).sum()))
        self._right.update(total["right"], 0)
        self._next_right.update(total["next_right"], 0)

    def reduce(self, group: Group) -> None:
        for sums in (self._masked, self._next, self._right, self._next_right):
            sums.reduce(group)

    def metrics(self) -> dict[str, float]:
        masked = language_metrics(self._masked.loss, self._masked.count)
        following = mean_loss(self._next.loss, self._next.count)
        return {
            "loss": masked["loss"] + following,
            "perplexity": masked["perplexity"],
            "accuracy": self._right.loss / self._masked.count,
            "masked_loss": masked["loss"],
            "next_loss": following,
            "next_accuracy": self._next_right.loss / self._next.count,
        }


MEMBER = Pretraining()
