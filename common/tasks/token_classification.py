"""Token classification: a tag for every word of a sentence, such as named entities or parts of speech.
A word's tag is the target of its first token; its other tokens have none. Where the tags mark spans (`common.spans`),
these are scored, otherwise the tags are. A word that the model does not see, because it was cut off at ``max_length``
or has no token, has no prediction: it counts as wrong, and as outside of every span. A word without a tag is left out of
all scores, as if it did not stand in its sentence.

With the option ``scheme`` a model learns the spans in other tags than the data's (`common.chains`): they are converted
when the data are read, and what the model says is converted back to BIO before it is scored or answered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from common.backend.batch import IGNORE, Batch, Field
from common.backend.contract import Engine, EvalResult
from common.chains import SCHEMES, converted, scheme_names
from common.data.encoding import Columns, Encoded, Ragged
from common.data.profile import LABEL_LISTS, WORD_LISTS, Recognised
from common.data.roles import Role
from common.data.words import TAGS, WORDS, encode_words, spans_in, tag_names
from common.distributed import Group
from common.errors import InputError
from common.metrics import mean_loss, tag_metrics
from common.models.specs import ModelSpec
from common.spans import has_spans, span_scores, spans
from common.tasks.collecting import Sums
from common.tasks.task import Answer, Draw, Task, TaskOptions
from common.tasks.texts import ENCODERS

if TYPE_CHECKING:
    from common.training.assembly import Trained

__all__ = ["MEMBER", "TaggingOptions", "TokenClassification"]

_USUAL_TAGS = ("ner_tags", "tags", "labels", "label", "upos", "pos_tags", "ner", "pos")
_SPANS = ("precision", "recall", "f1")
_TAGS = ("f1_macro",)


@dataclass(frozen=True)
class TaggingOptions(TaskOptions):
    """How spans are tagged."""

    scheme: str | None = None  #: ``bio`` or ``bioes``; None: as in the data

    def problems(self) -> Iterator[tuple[str, str]]:
        """Another scheme."""
        if self.scheme not in (None, *SCHEMES):
            yield "scheme", f"must be {' or '.join(SCHEMES)}, or null; received {self.scheme!r}"


class TokenClassification(Task):
    """Cross-entropy over the tags. Labels ``(batch, seq)`` int32, logits ``(batch, seq, labels)``."""

    name = "token-classification"
    head = "token"
    peft_type = "TOKEN_CLS"
    roles: ClassVar[tuple[Role, ...]] = (WORDS, TAGS)
    FIELDS: ClassVar[tuple[Field, ...]] = (Field("labels", ("batch", "seq"), padding=IGNORE),)
    outputs: ClassVar[tuple[str, ...]] = ("logits",)
    metrics = {"loss": False, "accuracy": True, **dict.fromkeys((*_SPANS, *_TAGS), True), "unseen_words": False}
    Options = TaggingOptions
    options: TaggingOptions

    def __init__(self, options: Any = None):
        super().__init__(options)
        if self.options.scheme is not None:
            read = spans_in(self.options.scheme)
            roles = (dataclasses.replace(role, read=read) if role.target else role for role in self.roles)
            self.roles = tuple(roles)  # type: ignore[misc]  # how its columns are read depends on its options

    def recognise(self, profile):
        """A list of words, and one of as many tags."""
        kinds = (WORD_LISTS, LABEL_LISTS)
        tags = profile.pick("label_column", kinds, _USUAL_TAGS)
        words = profile.pick("text_column", kinds, ("tokens", "words"), (tags or "",))
        lists = [profile.columns[name].present if name in profile.columns else [] for name in (words, tags)]
        if not lists[0] or list(map(_length, lists[0])) != list(map(_length, lists[1])):
            return None
        metric = "f1" if has_spans(tuple(profile.columns[tags].counts)) else "accuracy"
        return Recognised({"text_column": words, "label_column": tags}, 25, metric, ENCODERS)

    def label_names(self, entry, tables):
        """As published, or the sorted tags of the training split; the scheme's, where there is one.

        Raises:
            InputError: a scheme is asked for, and the tags mark no spans.
        """
        names = entry.label_names or tag_names(tables, entry.roles["tags"])
        if self.options.scheme is None:
            return names
        if not has_spans(names):
            raise InputError(
                "model.task_options.scheme is for tags that mark spans, such as B-person; the data have "
                f"{', '.join(names[:8])}. Remove it."
            )
        return scheme_names(names, self.options.scheme)

    def measured(self, labels: tuple[str, ...] | None) -> Mapping[str, bool]:
        """Precision, recall and F1 of spans, or the macro F1 of tags that mark none."""
        left_out = _TAGS if has_spans(labels or ()) else _SPANS
        return {name: higher for name, higher in self.metrics.items() if name not in left_out}

    def corpus(self, rows) -> Iterator[str]:
        """The words of every sentence with spaces between them."""
        return (" ".join(words) for words in rows["words"])

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """See `common.data.words.encode_words`."""
        return encode_words(rows, tokenizer, max_length)

    def evaluator(self, encoded: Encoded) -> _Evaluator:
        """Scores of every word of the split."""
        return _Evaluator(encoded, self)

    def best(self, outputs: Mapping[str, np.ndarray], words: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """The tag of every position, ``(batch, seq)``; what stands where no word begins is not read.

        Args:
            outputs: of the backends' loss, each ``(batch, ...)``.
            words: ``(batch, seq)``, the number of the word that begins there, or -1.
            names: of the tags.
        """
        return outputs["logits"].argmax(-1)

    def parse(self, line: str) -> dict[str, Any]:
        """Words with white space between them."""
        return {"words": line.split()}

    def predict(
        self, trained: Trained, engine: Engine, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[Answer]:
        """``word/tag word/tag``, and the spans where the tags mark them. ``?`` (in full: None) for unseen words."""
        from datasets import Dataset

        from common.training.prediction import outputs_of

        filled = [row for row in rows if row["words"]]
        outputs = iter(outputs_of(trained, engine, filled) if filled else ())
        limit = trained.config.data.max_length
        columns = self.encode(Dataset.from_list(filled), trained.tokenizer, limit)[0] if filled else {}
        answered = iter(range(len(filled)))
        names = trained.labels or ()
        for row in rows:
            words, tags = row["words"], []
            if words:
                found = np.full(len(words), -1)
                starts = columns["words"][next(answered)]
                given = {name: output[None] for name, output in next(outputs).items()}
                best = self.best(given, _padded([starts], given), names)[0, : len(starts)]
                found[starts[starts >= 0]] = best[starts >= 0]
                tags = [names[index] if index >= 0 else None for index in found]
                tags = tags if self.options.scheme is None else converted(tags, SCHEMES[0])
            yield _answer(words, tags, has_spans(names))

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Any tag at two of three real positions."""
        mask = inputs["attention_mask"]
        tags = draw("labels", mask.shape, 0, spec.config["num_labels"])
        chosen = (mask == 1) & (draw("words", mask.shape, 0, 3) > 0)
        chosen[:, 0] |= mask[:, 0] == 1
        return {"labels": np.where(chosen, tags, IGNORE).astype(np.int32)}

    def example_labels(self) -> tuple[str, ...]:
        """Spans of one type."""
        return ("O", "B-thing", "I-thing")


def _padded(starts: Sequence[np.ndarray], outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The words that begin at the positions of each row, ``(batch, seq)``; -1 beyond its end and in further rows."""
    batch, length = outputs["logits"].shape[:2]
    words = np.full((batch, length), -1, np.int32)
    for row, found in enumerate(starts):
        words[row, : len(found)] = found
    return words


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else -1


def _answer(words: Sequence[str], tags: Sequence[str | None], marked: bool) -> Answer:
    pairs = zip(words, tags, strict=True)
    full: dict[str, Any] = {"words": list(words), "tags": list(tags)}
    if marked:
        full["spans"] = [
            {"type": kind, "start": start, "end": stop, "text": " ".join(words[start:stop])}
            for kind, start, stop in spans([tag or "O" for tag in tags])
        ]
    return Answer(" ".join(f"{word}/{tag or '?'}" for word, tag in pairs), full)


class _Evaluator:
    """Keeps the predicted tag of every word plus 1, so that 0 says that there is none and sums over processes fit."""

    def __init__(self, encoded: Encoded, task: TokenClassification):
        self._task = task
        self._truth = cast(Ragged, encoded.columns["tags"])
        self._words = cast(Ragged, encoded.columns["words"])
        self._names = encoded.label_names
        self._found = np.zeros(len(self._truth.values), np.float32)
        self._sums = Sums()

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        self._sums.update(result.loss_sum, result.count)
        listed = [self._words[index] for index in indices]
        found = self._task.best(result.outputs, _padded(listed, result.outputs), self._names)
        for row, (index, starts) in enumerate(zip(indices, listed, strict=True)):
            best = found[row, : len(starts)]
            places = self._truth.starts[index] + starts[starts >= 0]
            self._found[places] = best[starts >= 0] + 1

    def reduce(self, group: Group) -> None:
        self._sums.reduce(group)
        self._found = group.sum_array(self._found)

    def metrics(self) -> dict[str, float]:
        truth, found = self._tagged()
        scores = tag_metrics(self._in_data(found), self._in_data(truth), len(self._names))
        if has_spans(self._names):
            del scores["f1_macro"]
            scores |= span_scores(self._named(truth), self._named(found))
        unseen = float(np.count_nonzero(found.values < 0))
        return {"loss": mean_loss(self._sums.loss, self._sums.count), **scores, "unseen_words": unseen}

    def _tagged(self) -> tuple[Ragged, Ragged]:
        """True and predicted tags of the words that have a tag; the others are left out, and end no span."""
        truth, found = self._truth.values, np.rint(self._found).astype(np.int64) - 1
        known = truth != IGNORE
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(known)])
        starts, stops = before[self._truth.starts], before[self._truth.stops]
        return Ragged(truth[known], starts, stops), Ragged(found[known], starts, stops)

    def _in_data(self, tags: Ragged) -> np.ndarray:
        """Tags, as BIO where the model has a scheme of its own; -1 where there is none."""
        if self._task.options.scheme is None:
            return tags.values
        numbers = {name: number for number, name in enumerate(self._names)}
        changed = np.full(len(tags.values), -1, np.int64)
        for example in range(len(tags)):
            named = [self._names[tag] if tag >= 0 else None for tag in tags[example]]
            of_data = (-1 if tag is None else numbers[tag] for tag in converted(named, SCHEMES[0]))
            changed[tags.starts[example] : tags.stops[example]] = list(of_data)
        return changed

    def _named(self, tags: Ragged) -> Iterator[list[str]]:
        for example in range(len(tags)):
            yield [self._names[tag] if tag >= 0 else "O" for tag in tags[example]]


MEMBER = TokenClassification()
