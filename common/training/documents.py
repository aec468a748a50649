"""A document as a trained network read it: the attention to its sentences, and in each of them to its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any, cast

import numpy as np

from common.backend import Engine
from common.data.batching import collate
from common.data.encoding import Ragged
from common.data.sentences import COLUMN, places
from common.models import FAMILIES
from common.tasks.task import Answer
from common.terminal import notice
from common.training.assembly import Trained
from common.training.prediction import encoded_rows

__all__ = ["Document", "ReadSentence", "Word", "read_document"]


@dataclass(frozen=True)
class Word:
    """One token."""

    text: str  #: as it is written, with the white space behind it
    weight: float  #: those of a sentence have the sum 1


@dataclass(frozen=True)
class ReadSentence:
    """One sentence."""

    weight: float  #: those of a document have the sum 1
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Document:
    """What was read, and what the model says to it."""

    answer: Answer
    sentences: tuple[ReadSentence, ...]

    def record(self) -> dict[str, Any]:
        """Ready for JSON."""
        listed = [
            {"weight": round(s.weight, 6), "words": [[word.text, round(word.weight, 6)] for word in s.words]}
            for s in self.sentences
        ]
        return {"answer": dict(self.answer.full), "sentences": listed}


def read_document(trained: Trained, engine: Engine, text: str) -> Document:
    """The attentions of the network of a run to ``text``, as far as it reads it.

    Raises:
        InputError: the network reads no documents, or the text has no token.
    """
    row: Mapping[str, Any] = {"text": text}
    encoded = encoded_rows(trained, [row])
    if encoded.truncated:
        notice(f"The text is read up to data.max_length = {trained.config.data.max_length} tokens, as in training.")
    batch = collate(encoded, np.zeros(1, np.int32), 1, trained.config.data.length_multiple)
    names = [field.name for field in FAMILIES.get(trained.spec.family).INPUTS]
    backend = type(engine).__module__.partition(".")[0]
    reading = import_module(f"{backend}.reading")
    words, sentences = reading.document_attentions(engine.model, {name: batch[name] for name in names})
    (answer,) = trained.task.predict(trained, engine, [row], {})
    counts = cast("Ragged", encoded.columns[COLUMN])[0]
    written = _written(trained, text, int(counts.sum()))
    numbers, positions = places(counts)
    found: list[list[Word]] = [[] for _ in counts]
    for part, number, position in zip(written, numbers, positions, strict=True):
        found[number].append(Word(part, float(words[0, number, position])))
    listed = zip(sentences[0], found, strict=False)
    return Document(answer, tuple(ReadSentence(float(weight), tuple(inside)) for weight, inside in listed))


def _written(trained: Trained, text: str, count: int) -> list[str]:
    """The text of each of the first tokens, up to the next one."""
    offsets = trained.tokenizer(text, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    ends = [*(begin for begin, _ in offsets[:count]), offsets[count][0] if len(offsets) > count else len(text)]
    return [text[start:stop] for start, stop in pairwise(ends)]
