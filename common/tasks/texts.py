"""What tasks on a text, or a pair of texts, have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from common.data.profile import TEXTS, Profile, Recognised
from common.data.roles import TEXT, TEXT_PAIR, Role
from common.errors import InputError
from common.models.family import HeadLayout
from common.readouts import READOUTS
from common.tasks.task import Answer, Task, TaskOptions

if TYPE_CHECKING:
    from common.backend.contract import Engine
    from common.training.assembly import Trained

__all__ = ["ENCODERS", "TextOptions", "TextTask"]

TAB = "\t"
ENCODERS = {"": "google-bert/bert-base-uncased", "east asian": "google-bert/bert-base-chinese"}  #: to begin with
_LABELS = (
    "label", "labels", "class", "category", "target", "sentiment", "intent", "topic", "emotion", "score", "similarity",
    "rating", "y", "标签", "类别", "情感",
)  # fmt: skip
_FIRST = (
    "text", "sentence", "sentence1", "premise", "question1", "text_a", "query", "question", "review", "content",
    "comment", "document", "body", "utterance", "tweet", "文本", "内容", "评论", "句子",
)  # fmt: skip
_SECOND = ("text_pair", "sentence2", "hypothesis", "question2", "text_b", "passage", "answer")


@dataclass(frozen=True)
class TextOptions(TaskOptions):
    """The head."""

    head: str | None = None  #: a member of `common.readouts`; null: the family's own
    head_options: dict[str, Any] = field(default_factory=dict)  #: of that member

    def problems(self) -> Iterator[tuple[str, str]]:
        """A head that there is not, or options that it does not have."""
        if self.head is None:
            if self.head_options:
                yield "head_options", "belongs to a head; received no head; remove it"
            return
        try:
            READOUTS.get(self.head).options(self.head_options)
        except InputError as error:
            yield "head", str(error).removeprefix("model.task_options.head ")


class TextTask(Task):
    """A head on the whole text. Members add their target to ``roles``."""

    head = "sequence"
    Options = TextOptions
    options: TextOptions
    peft_type = "SEQ_CLS"
    roles: ClassVar[tuple[Role, ...]] = (TEXT, TEXT_PAIR)

    def layout(self, family: Any, config: Mapping[str, Any]) -> HeadLayout | None:
        """The family's head for whole texts, or the one that the options name."""
        own, options = super().layout(family, config), self.options
        if own is None or options.head is None:
            return own
        return READOUTS.get(options.head).layout(options.head_options, own, family, config)

    def recorded(self) -> dict[str, Any]:
        """The head and its options."""
        options = self.options
        return {} if options.head is None else {"head": options.head, "head_options": dict(options.head_options)}

    def recognised(
        self, profile: Profile, kinds: Sequence[str], metric: str, names: Sequence[str] = _LABELS
    ) -> Recognised | None:
        """A text, or two, with a target of one of ``kinds``."""
        label = profile.pick("label_column", kinds, names)
        if label is None:
            return None
        first = profile.pick("text_column", (TEXTS,), _FIRST, (label,))
        second = profile.given.get("text_pair_column") or profile.pick(
            "text_pair_column", (TEXTS,), _SECOND, (label, first or "")
        )
        if first is None or first == label:
            return None
        entries = {"text_column": first, "label_column": label}
        if second is not None and second != first:
            entries["text_pair_column"] = second
        fits = profile.columns[label].kind in kinds  # a column that the user names may be of another
        return Recognised(entries, 10 * len(entries) + 2 * fits, metric, ENCODERS)

    def predict(
        self, trained: Trained, engine: Engine, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[Answer]:
        """One answer for each row; a model of pairs also takes ``text TAB text_pair`` as the text.

        Raises:
            InputError: a model of pairs is given one text, or a model of single texts two.
        """
        paired = _paired(rows, trained.summary["data"]["columns"])
        yield from super().predict(trained, engine, [_fitting(row, paired) for row in rows], options)


def _paired(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bool:
    """Whether the model reads pairs: by the columns that it was trained on, or, of a model folder, which says none, by
    the rows."""
    if columns:
        return TEXT_PAIR.name in columns
    having = {TEXT_PAIR.name in row for row in rows}
    if len(having) > 1:
        raise InputError("A batch holds pairs of texts or single ones; received both. Ask them one after the other.")
    return having == {True}


def _fitting(row: Mapping[str, Any], paired: bool) -> dict[str, Any]:
    """The row with as many texts as the model was trained on."""
    if TEXT_PAIR.name in row:
        if paired:
            return dict(row)
        raise InputError(
            f"This run was trained on single texts; received a pair: {row[TEXT.name]!r} and {row[TEXT_PAIR.name]!r}. "
            "Remove text_pair."
        )
    if not paired:
        return dict(row)
    parts = [part.strip() for part in row[TEXT.name].split(TAB)]
    if len(parts) == 2 and all(parts):
        return {**row, TEXT.name: parts[0], TEXT_PAIR.name: parts[1]}
    raise InputError(
        "This run was trained on pairs of texts: a line must hold two, with one tab between them; received "
        f"{row[TEXT.name]!r}. With --jsonl give objects with the keys text and text_pair."
    )
