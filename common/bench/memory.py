"""Peak memory of a training step: of the process, by Linux's own high-water mark, or of the accelerator."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common.bench.rounds import check_losses
from common.bench.settings import Settings, begin, say
from common.bench.step import pairs
from common.bench.subjects import changed
from common.errors import RunError

__all__ = ["Meter", "measure_memory"]

_STEPS = 3
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter:
    """Measures the process it is made in; ``device`` gives (bytes now, peak) of an accelerator, or None on the CPU.

    Raises:
        RunError: the system cannot tell.
    """

    def __init__(self, device: Callable[[bool], tuple[int, int] | None]):
        self._device = device
        self._peaks: list[int] = []
        gc.collect()
        if device(True) is None:
            _trim()
        self._before = self._read(reset=True)[0]

    def around(self, step: Callable[[], Any]) -> None:
        """Run ``step`` and note its peak."""
        self._read(reset=True)
        step()
        self._peaks.append(self._read()[1])

    def results(self) -> dict[str, Any]:
        """Bytes: before the first step, the peaks of the first (with what is compiled for it) and of the last, in all
        and above what was there before."""
        first, last = self._peaks[0], self._peaks[-1]
        return {
            "before": self._before,
            "first": first - self._before,
            "later": last - self._before,
            "peak": max(self._peaks),
        }

    def _read(self, reset: bool = False) -> tuple[int, int]:
        found = self._device(reset)
        if found is not None:
            return found
        try:
            if reset:
                _RESET.write_text("5")
            lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        except OSError as error:
            raise RunError(
                f"Peak memory on the CPU is read from Linux, {_RESET} and {_STATUS}; that failed: {error}."
            ) from error
        return _bytes(lines["VmRSS"]), _bytes(lines["VmHWM"])


def measure_memory(case: str, names: Sequence[str], settings: Settings, saved: str | None) -> dict[str, Any]:
    """Each subject alone in a fresh process, ``settings.rounds`` times; the numbers of the last are kept with every
    round's.

    Args:
        saved: ``too`` counts what is kept for the backward pass as well, ``only`` nothing else.
    """
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(1 if saved == "only" else settings.rounds):
        for name in names:
            rounds[name].append(_once(name, settings, settings.request(case, count=1), saved))
            say(f"{name}: {rounds[name][-1]}")
        check_losses({name: found[-1]["check_loss"] for name, found in rounds.items()})
    subjects = {name: {**found[-1], "rounds": found} for name, found in rounds.items()}
    compared = {f"{ours}/{other}": _ratios(rounds[ours], rounds[other]) for ours, other in pairs(names)}
    return {"case": case, "subjects": subjects, "ratios": compared}


def _once(name: str, settings: Settings, request: dict[str, Any], saved: str | None) -> dict[str, Any]:
    with ExitStack() as stack:
        worker = stack.enter_context(begin(name, settings))
        found = worker.ask("build", **changed(name, request))
        if saved != "only":
            found |= worker.ask("memory", count=_STEPS)
        if saved:
            found |= worker.ask("saved")
    with begin(
        name, settings
    ) as untrained:  # the loss before training, which would raise the mark if it were taken before
        untrained.ask("build", **changed(name, request))
        return found | untrained.ask("check")


def _ratios(ours: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Ratios of the medians over the rounds."""
    found = {}
    for key in ("first", "later", "peak", "saved_bytes"):
        if all(entry.get(key) is not None for entry in (*ours, *other)):
            mine, theirs = (sorted(entry[key] for entry in entries)[len(entries) // 2] for entries in (ours, other))
            found[key] = mine / theirs
    return found


def _trim() -> None:
    """Give freed memory back, so that the step does not find it for nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _bytes(text: str) -> int:
    return int(text.split()[0]) * 1024
