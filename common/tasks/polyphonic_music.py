"""Polyphonic music: which of the 88 keys of a piano sound in the next frame of a piano roll.

The keys of a frame are independent given the frames before it (Boulanger-Lewandowski et al. 2012; Chung et al. 2014),
so that the loss of a frame is the sum of 88 binary cross-entropies, in nats. Every frame is predicted, the first from
silence. A sequence is cut after ``data.max_length`` frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from common.backend.batch import IGNORE, Batch, Field
from common.backend.contract import EvalResult
from common.data.encoding import Columns, Encoded, Ragged
from common.data.readers import Table
from common.data.roles import Reading, Role
from common.distributed import Group, sum_exactly
from common.errors import InputError
from common.metrics import mean_loss
from common.models.specs import ModelSpec
from common.reading import parse_json
from common.tasks.collecting import Sums
from common.tasks.task import Answer, Draw, Task

__all__ = ["KEYS", "MEMBER", "PolyphonicMusic"]

KEYS = 88  #: of a piano, counted from 0, the A of 27.5 Hz
_FRAME = 1  #: the id of every frame, which no network of frames reads


def read_frames(table: Table, reading: Reading) -> list[list[list[int]]]:
    """The keys that sound in every frame of every sequence.

    Raises:
        InputError: a row is no list of frames, or a key is none of the 88.
    """
    found = []
    for row, value in enumerate(table.column(reading.accepted)):
        if not isinstance(value, list) or not value or not all(isinstance(frame, list) for frame in value):
            raise InputError(
                f"{table.where(row)}: a list of at least one frame, each a list of keys, was expected in column "
                f"{reading.accepted[-1]}; found {str(value)[:80]}. Correct or remove the row."
            )
        wrong = [key for frame in value for key in frame if type(key) is not int or not 0 <= key < KEYS]
        if wrong:
            raise InputError(
                f"{table.where(row)}: a key must be an integer from 0 to {KEYS - 1}, the lowest A being 0 (of MIDI's "
                f"numbers subtract 21); found {wrong[0]!r}."
            )
        found.append(value)
    return found


class PolyphonicMusic(Task):
    """Binary cross-entropy of every key. ``frames`` and ``labels`` ``(batch, seq, 88)``: the frame before, and the one
    that is predicted; logits of the same shape."""

    name = "polyphonic-music"
    head = "frames"
    new_head = False
    peft_type = None
    roles = (Role("frames", "text_column", read_frames),)
    FIELDS = (
        Field("frames", ("batch", "seq", "key")),
        Field("labels", ("batch", "seq", "key"), padding=IGNORE),
    )
    outputs = ("logits",)
    metrics = {"loss": False, "accuracy": True}

    def entries(self, labels: tuple[str, ...] | None) -> dict[str, Any]:
        """What its networks read."""
        return {"frame_width": KEYS}

    def corpus(self, rows) -> Iterator[str]:
        """One word: frames are no text."""
        yield "frame"

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """Rolls of 0 and 1."""
        rolls = [_roll(frames[:max_length]) for frames in rows["frames"]]
        truncated = sum(len(frames) > max_length for frames in rows["frames"])
        labels = Ragged.of([roll[1:] for roll in rolls])
        before = Ragged.of([roll[:-1] for roll in rolls])
        ids = Ragged(np.full(len(labels.values), _FRAME, np.int32), labels.starts, labels.stops)
        return {"input_ids": ids, "frames": before, "labels": labels}, truncated

    def targets(self, batch: Batch) -> int:
        """Frames."""
        return int((batch["labels"][:, :, 0] != IGNORE).sum())

    def evaluator(self, encoded: Encoded) -> _Evaluator:
        """Loss of a frame, and the accuracy of its keys."""
        return _Evaluator()

    def parse(self, line: str) -> dict[str, Any]:
        """A JSON list of frames."""
        return {
            "frames": parse_json(line, "standard input", "a list of frames", "Write, for example, [[39, 51], [41]].")
        }

    def predict(self, trained, engine, rows, options) -> Iterator[Answer]:
        """The keys that more probably sound than not in the frame after the last one, and the probability of every
        key."""
        silent: list[int] = []
        given = [{**row, "frames": [*row["frames"], silent][-trained.config.data.max_length :]} for row in rows]
        yield from super().predict(trained, engine, given, options)

    def answers(
        self, rows: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, np.ndarray]], labels: Any
    ) -> Iterator[Answer]:
        """See `predict`."""
        for row, output in zip(rows, outputs, strict=True):
            logits = output["logits"][len(row["frames"]) - 1].astype(np.float64)
            keys = np.flatnonzero(logits > 0).tolist()
            probabilities = 1.0 / (1.0 + np.exp(-logits))
            full = {"keys": keys, "probabilities": [round(float(value), 6) for value in probabilities]}
            yield Answer(" ".join(map(str, keys)), full)

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Each key sounds in one of four frames."""
        mask = inputs["attention_mask"]
        shape = (*mask.shape, KEYS)
        frames, labels = (draw(name, shape, 0, 4) == 0 for name in ("frames", "labels"))
        real = mask[..., None] == 1
        return {
            "frames": (frames & real).astype(np.int32),
            "labels": np.where(real, labels, IGNORE).astype(np.int32),
        }


def _roll(frames: Sequence[Sequence[int]]) -> np.ndarray:
    """``(frames + 1, 88)`` int32, silence first."""
    roll = np.zeros((len(frames) + 1, KEYS), np.int32)
    for place, keys in enumerate(frames, 1):
        roll[place, list(keys)] = 1
    return roll


class _Evaluator:
    """``accuracy`` is that of Bay et al. (2009): of the keys that sound or are said to, the share that do both."""

    def __init__(self) -> None:
        self._sums = Sums()
        self._right = np.zeros(2, np.float64)  # both, either

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        self._sums.update(result.loss_sum, result.count)
        known = batch["labels"] != IGNORE
        truth, said = (batch["labels"] == 1) & known, (result.outputs["logits"] > 0) & known
        self._right += (truth & said).sum(), (truth | said).sum()

    def reduce(self, group: Group) -> None:
        self._sums.reduce(group)
        self._right = sum_exactly(group, self._right)

    def metrics(self) -> dict[str, float]:
        both, either = self._right
        loss = mean_loss(self._sums.loss, self._sums.count)
        return {"loss": loss, "accuracy": float(both / either) if either else 0.0}


MEMBER = PolyphonicMusic()
