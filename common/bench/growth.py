"""How time and memory of a step grow with length, batch, rank and the number of adapted matrices, one at a time around
MiniLM with 16 x 128 tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from common.bench.rounds import alternate, median
from common.bench.settings import Settings, begin, say
from common.bench.workers import Worker

__all__ = ["AXES", "exponent", "measure_growth"]

_CASE = "minilm-16x128"
_MATRICES = (
    "*.query",
    "*.value",
    "*.key",
    "*.attention.output.dense",
    "*.intermediate.dense",
    "*.layer.*.output.dense",
)
AXES: dict[str, Sequence[int]] = {
    "length": (32, 64, 128, 256, 512),
    "batch": (1, 2, 4, 8, 16, 32, 64),
    "rank": (1, 4, 16, 64, 256),
    "matrices": (1, 2, 3, 4, 5, 6),  #: adapted in every layer
}
_QUICK = {"length": (64, 256), "batch": (4, 16), "rank": (4, 64), "matrices": (1, 4)}


def measure_growth(names: Sequence[str], settings: Settings, count: int, quick: bool) -> dict[str, Any]:
    """Every axis of every subject; the subjects take turns at every point.

    Returns:
        For each ``subject, axis`` the values, seconds of a step, bytes of a step and the exponents fitted to the upper
        half.
    """
    curves: dict[str, dict[str, Any]] = {}
    for axis, values in (_QUICK if quick else AXES).items():
        for value in values:
            for name, (seconds, memory) in _point(axis, value, names, settings, count).items():
                curve = curves.setdefault(f"{name}, {axis}", {"values": [], "seconds": [], "memory": []})
                for key, found in (("values", value), ("seconds", seconds), ("memory", memory)):
                    curve[key].append(found)
                say(f"{name}, {axis} {value}: {seconds:.4f} s, {memory / 2**20:,.0f} MiB")
    for curve in curves.values():
        curve["exponents"] = {key: exponent(curve["values"], curve[key]) for key in ("seconds", "memory")}
    return {"case": _CASE, "steps_per_round": count, "quick": quick, "curves": curves}


def exponent(values: Sequence[float], measured: Sequence[float]) -> float:
    """p of measured ~ values^p, by least squares in logarithms over the upper half of the points (two at least)."""
    start = min(len(values) // 2, len(values) - 2)
    x, y = np.log(np.asarray([values[start:], np.maximum(measured[start:], 1e-12)], np.float64))
    return float(np.polyfit(x, y, 1)[0])


def _seconds(worker: Worker, count: int) -> float:
    return worker.ask("steps", count=count)["seconds"]


def _point(axis: str, value: int, names: Sequence[str], settings: Settings, count: int) -> dict[str, tuple[float, int]]:
    size = {"length": (16, value), "batch": (value, 128)}.get(axis, (16, 128))
    changed = {
        "rank": (f"adaptation.rank={value}",),
        "matrices": (f"adaptation.targets={list(_MATRICES[:value])}",),
    }.get(axis, ())
    settings = dataclasses.replace(settings, set=(*settings.set, "data.max_length=512", *changed))
    workers: dict[str, Worker] = {}
    try:
        memory = {}
        for name in names:
            workers[name] = begin(name, settings)
            workers[name].ask("build", **settings.request(_CASE, size=size, count=1))
            memory[name] = workers[name].ask("memory", count=2)["later"]
            workers[name].ask("warm", total=1, count=1)
        samples = alternate(
            {name: partial(_seconds, worker, count) for name, worker in workers.items()},
            settings.rounds,
        )
    finally:
        for worker in workers.values():
            worker.__exit__()
    return {name: (median(samples[name]), memory[name]) for name in names}
