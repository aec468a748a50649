"""Drawings of a study: quality against size, learning curves, where memory goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from common.memory.account import PARTS
from common.report.elements import Html, figure, legend
from common.report.figures import COLOURS, SERIES, drawn
from common.report.study.records import Record, Study, combination
from common.report.study.statistics import mean

__all__ = ["key", "learning_curves", "memory_bars", "quality_and_size", "series"]


def series(study: Study) -> dict[Any, str]:
    """Colour of every value of the axis that the study compares first; everything has one where there is none."""
    values = [None] if study.group is None else list(study.axes[study.group])
    return {value: SERIES[index % len(SERIES)] for index, value in enumerate(values)}


def key(study: Study) -> Html:
    """Which colour is which value."""
    if study.group is None:
        return Html("")
    return legend((colour, f"{study.group.rpartition('.')[2]} {value}") for value, colour in series(study).items())


def _colour(study: Study, record: Record) -> str:
    return COLOURS[series(study)[record.value(study.group) if study.group else None]]


def _combinations(records: Iterable[Record]) -> list[list[Record]]:
    found: dict[Any, list[Record]] = {}
    for record in records:
        found.setdefault((combination(record), record.point["backend"]), []).append(record)
    return list(found.values())


def quality_and_size(study: Study) -> Html:
    """The metric of the validation split by the number of trained scalars; one point for each combination, with a line
    from the worst to the best seed."""
    name = f"validation.{study.metric}"
    points = []
    for members in _combinations(study.finished):
        values = [record.value(name) for record in members if record.value(name) is not None]
        size = members[0].value("trainable.total")
        if values and size:
            points.append((_colour(study, members[0]), size, values))

    def draw(axes: Any) -> None:
        for colour, size, values in points:
            axes.plot([size, size], [min(values), max(values)], color=colour, linewidth=1.2, alpha=0.5)
            axes.plot([size], [mean(values)], color=colour, marker="o", markersize=5.5, markeredgewidth=0)
        if len({size for _, size, _ in points}) > 1:
            axes.set_xscale("log")

    title = f"Validation {study.metric.replace('_', ' ')} by trained parameters"
    caption = "One point for each combination: the mean over its seeds, and their range."
    return figure(title, drawn(title, draw, "trained parameters", study.metric.replace("_", " ")), caption)


def learning_curves(study: Study) -> Html:
    """The metric of the validation split at every evaluation of every run."""
    curves = []
    for record in study.finished:
        events = [event for event in record.evaluations if event.get(study.metric) is not None]
        if events:
            points = np.array([(event["step"], event[study.metric]) for event in events], float)
            curves.append((_colour(study, record), points))

    def draw(axes: Any) -> None:
        for colour, points in curves:
            axes.plot(points[:, 0], points[:, 1], color=colour, linewidth=1.1, alpha=0.75, solid_capstyle="round")
        axes.xaxis.get_major_locator().set_params(integer=True)

    title = f"Validation {study.metric.replace('_', ' ')} by step"
    caption = f"{len(curves):,} runs, each at all of its evaluations."
    return figure(title, drawn(title, draw, "step", study.metric.replace("_", " ")), caption)


def memory_bars(accounts: Sequence[tuple[str, Mapping[str, Any]]]) -> Html:
    """The account of a step of different runs, as stacked bars.

    Args:
        accounts: name and account (`common.memory.account.Account.plain`).
    """
    scale, unit = (2**30, "GiB") if max(one["total"] for _, one in accounts) >= 2**30 else (2**20, "MiB")

    def draw(axes: Any) -> None:
        places = np.arange(len(accounts))[::-1]
        left = np.zeros(len(accounts))
        for part, colour in zip(PARTS, SERIES, strict=False):
            sizes = np.array([one[part] / scale for _, one in accounts])
            axes.barh(places, sizes, left=left, color=COLOURS[colour], height=0.62)
            left += sizes
        axes.set_yticks(places, [name for name, _ in accounts])
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", color=COLOURS["rule"], linewidth=0.5)
        axes.set_axisbelow(True)

    title = "Memory of a training step"
    drawing = drawn(title, draw, unit, "", (8.0, 0.6 + 0.32 * len(accounts)))
    caption = (
        "What a step holds between its two passes, accounted for without training; activations as kept for backward."
    )
    return Html(legend(zip(SERIES, PARTS, strict=False)) + figure(title, drawing, caption))
