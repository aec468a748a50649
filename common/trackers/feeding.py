"""Feeding trackers with the events of a run, while it goes on or afterwards. What fails there never ends a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from common.config import to_plain
from common.errors import InputError, RunError
from common.reading import read_json_lines
from common.report.runs import flatten
from common.trackers import TRACKERS
from common.trackers.tracker import Opening, Session
from common.training.progress import Progress
from common.training.rundir import FAILED, RunDirectory

__all__ = ["Feeder", "Tracked", "check", "opening_of", "replay", "values_of"]

_TRAINING = ("epoch", "loss", "grad_norm", "learning_rate", "tokens", "seconds")
_ABOUT = ("event", "step", "epoch", "split", "best", "seconds", "duration")


def check(names: Iterable[str]) -> None:
    """Raise InputError unless every tracker is known and installed."""
    for name in names:
        TRACKERS.get(name).check()


def values_of(event: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an event, as ``train/loss`` or ``validation/accuracy``."""
    if event["event"] == "step":
        return {f"train/{name}": event[name] for name in _TRAINING if name in event}
    part = event.get("split", "validation")
    return {
        f"{part}/{name}": value
        for name, value in event.items()
        if name not in _ABOUT and isinstance(value, int | float) and not isinstance(value, bool)
    }


class Feeder:
    """The trackers of one run. One that fails is said once and left out from then on.

    Args:
        say: shows a message.
    """

    def __init__(self, names: Iterable[str], opening: Opening, say: Callable[[str], None]):
        self._say = say
        self._sessions: dict[str, Session] = {}
        self.failed: dict[str, Exception] = {}
        for name in names:
            self._attempt(name, partial(self._open, name, opening))

    def _open(self, name: str, opening: Opening) -> None:
        self._sessions[name] = TRACKERS.get(name).open(opening)

    def event(self, event: Mapping[str, Any]) -> None:
        """Pass on one event of the log."""
        values = values_of(event)
        for name, session in list(self._sessions.items()):
            self._attempt(name, partial(session.log, event["step"], values))

    def log(self, path: Path, lines: int | None = None) -> None:
        """Pass on the events of a log, or the first ``lines`` of them."""
        events = read_json_lines(path, "the log of a run", "Restore it from a copy.", {"event": str, "step": int})
        for _, event in islice(events, lines):
            self.event(event)

    def finish(self, summary: Mapping[str, Any] | None) -> None:
        """Close every tracker; ``summary`` is that of a run that came to its end or diverged."""
        failed = summary is None or summary.get("status") == FAILED
        numbers = {} if summary is None else _numbers(summary)
        for name, session in list(self._sessions.items()):
            self._attempt(name, partial(session.finish, numbers, failed))
        self._sessions.clear()

    def _attempt(self, name: str, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            self._sessions.pop(name, None)
            self.failed[name] = error
            self._say(f"note: the tracker {name} failed and is left out of this run: {type(error).__name__}: {error}")


def _numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    """What a table of runs compares."""
    chosen: dict[str, Any] = {part: summary.get(part) or {} for part in ("test", "seconds", "trainable")}
    chosen["best"] = summary.get("validation") or {}
    chosen |= {name: summary.get(name) for name in ("peak_memory_bytes", "adapter_bytes", "seconds_per_step")}
    return {
        name.replace(".", "/"): float(value)
        for name, value in flatten(chosen).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


class Tracked(Progress):
    """Shows what another progress shows, and feeds trackers with the same events."""

    def __init__(self, shown: Progress, feeder: Feeder):
        self._shown, self._feeder = shown, feeder

    def say(self, text: str) -> None:
        """A message."""
        self._shown.say(text)

    def start(self, total: int, done: int = 0) -> None:
        """Training begins."""
        self._shown.start(total, done)

    def step(self, event: dict[str, Any]) -> None:
        """One step was logged."""
        self._shown.step(event)
        self._feeder.event(event)

    def evaluation(self, event: dict[str, Any]) -> None:
        """One evaluation was logged."""
        self._shown.evaluation(event)
        self._feeder.event(event)

    def close(self) -> None:
        """Training has ended."""
        self._shown.close()


def opening_of(run: RunDirectory, config: Any, backend: str) -> Opening:
    """What a tracker gets to know of ``run``."""
    return Opening(config.name, backend, run.trackers, flatten(to_plain(config)))


def replay(path: Path, names: Iterable[str], say: Callable[[str], None]) -> None:
    """Feed trackers with a run that is there.

    Raises:
        InputError: this is no run, or a tracker is not installed.
        RunError: a tracker failed.
    """
    names = tuple(names)
    check(names)
    run = RunDirectory(Path(path))
    config, summary = run.read_config(), run.read_summary()
    if not run.metrics.is_file():
        raise InputError(f"A run that is tracked has a log; {run.path} has none. Train it first.")
    feeder = Feeder(names, opening_of(run, config, (summary or {}).get("backend") or run.path.name), say)
    feeder.log(run.metrics)
    feeder.finish(summary)
    if feeder.failed:
        raise RunError(f"{run.path} was not tracked whole: {', '.join(feeder.failed)} failed; the messages say why.")
