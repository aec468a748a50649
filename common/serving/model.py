"""An artifact that is served: opened once, and asked in one thread."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.backend.loader import BACKENDS
from common.errors import InputError
from common.exporting import is_export
from common.exporting.runtime import engine_of
from common.reading import expanded
from common.serving.ending import Ending
from common.serving.steady import Steady
from common.tasks.task import Answer
from common.training.assembly import Trained

__all__ = ["Answers", "Served", "named", "serve"]

Answers = list["Answer | Exception"]


@dataclasses.dataclass(frozen=True)
class Named:
    """An artifact as it stands on the command line: ``NAME=PATH`` or ``PATH``."""

    name: str
    path: Path


def named(given: Sequence[str]) -> list[Named]:
    """The artifacts with the names under which they are asked.

    A run directory ``runs/NAME/BACKEND`` is called NAME, another folder as its last part.

    Raises:
        InputError: a name is given twice, or cannot stand in an address; or ``~USER`` is nobody.
    """
    found = [_named(one) for one in given]
    names = [one.name for one in found]
    for one in found:
        if not one.name or not all(letter.isalnum() or letter in "-_." for letter in one.name):
            raise InputError(
                f"The name of an artifact has letters, digits, '-', '_' and '.'; received {one.name!r}. Write "
                f"NAME={one.path}."
            )
        if names.count(one.name) > 1:
            raise InputError(
                f"Every artifact needs a name of its own; {one.name} is given twice. Write NAME={one.path}."
            )
    return found


def _named(given: str) -> Named:
    name, equals, path = given.partition("=")
    if equals and "/" not in name:
        return Named(name, expanded(path))
    folder = expanded(given)
    parts = folder.absolute().parts
    return Named(parts[-2] if len(parts) > 1 and parts[-1] in BACKENDS else folder.absolute().name, folder)


class Served:
    """One artifact with its engine.

    Args:
        name: under which it is asked.
        trained: what was opened.
        engine: what computes it.
        rows: of a batch; None: the run's own, at which answers are those of ``twinlora predict`` to the digit.
    """

    def __init__(self, name: str, trained: Trained, engine: Any, rows: int | None = None):
        self.name = name
        training = trained.config.training
        self.rows = rows or training.evaluation_batch_size
        config = dataclasses.replace(
            trained.config, training=dataclasses.replace(training, evaluation_batch_size=self.rows)
        )
        self._trained = dataclasses.replace(trained, config=config, apart=True)
        self._ended = threading.Event()
        self._engine = Steady(Ending(engine, self._ended), trained.spec.schema, trained.tokenizer.pad_token_id, name)
        self.task = trained.task

    @property
    def batched(self) -> bool:
        """Whether several texts are computed together; texts that are written are written one at a time."""
        return not self.task.writes

    def end(self) -> None:
        """Stop what is being computed, for which nobody waits any more; nothing is answered from here on."""
        self._ended.set()

    def about(self) -> dict[str, Any]:
        """What clients may know of it."""
        exported = is_export(self._trained.run.path)
        return {
            "task": self.task.name,
            "family": self._trained.spec.family,
            "kind": "onnx" if exported else self._trained.summary["backend"],
            "labels": list(self._trained.labels) if self._trained.labels else None,
            "inputs": [role.name for role in self.task.roles if not role.target],
            "tokens": self._trained.config.data.max_length,
            "rows": self.rows if self.batched else 1,
        }

    def answers(self, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Answers:
        """For each row its answer, or why there is none: what one text fails on leaves the others alone."""
        try:
            return list(self.task.predict(self._trained, self._engine, rows, options))
        except Exception as error:  # a model may raise anything, and the server goes on
            if len(rows) == 1:
                return [error]
            return [answer for row in rows for answer in self.answers([row], options)]


def serve(name: str, path: Path, backend: str | None, device: str | None, rows: int | None) -> Served:
    """Open an artifact: a run, an adapter or a model folder, or an exported model.

    Raises:
        InputError: it is none of these, or does not fit this machine.
    """
    from common.training.folders import open_artifact

    trained = open_artifact(path)
    exported = is_export(path)
    return Served(name, trained, engine_of(trained, None if exported else backend, None if exported else device), rows)
