"""Parts of a page that one run, two runs and the demonstration share. Every function takes one run or two, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.report.elements import Html, byte_size, details, duration, escape, figure, legend, measure, section, table
from common.report.figures import Line, line_chart, smoothed
from common.report.runs import Run, common_steps, flatten, labels, relative_difference

__all__ = [
    "ROLES",
    "curves",
    "difference_figure",
    "key",
    "lead",
    "loss_figure",
    "metric_rows",
    "metrics",
    "model_line",
    "resources",
    "runs_table",
    "settings",
]

ROLES = {1: ("b",), 2: ("a", "b")}  # by number of runs; a single run is drawn thin


def key(runs: Sequence[Run]) -> Html:
    """Which colour is which run."""
    return legend(zip(ROLES[len(runs)], labels(runs), strict=True))


def lead(runs: Sequence[Run]) -> Html:
    """One line per run: what ran where, with which version."""
    lines = []
    for run, label in zip(runs, labels(runs), strict=True):
        summary = run.summary
        framework = summary["versions"].get("framework", run.backend)
        what = f"{summary['name']}, seed {summary['seed']}, {framework} on {_device(run)}"
        lines.append(Html(f"<b>{escape(label)}</b> {escape(what)}"))
    return Html("<br>".join(lines))


def runs_table(runs: Sequence[Run]) -> Html:
    """Who the runs are: name, backend, device, versions."""
    versions = sorted({name for run in runs for name in run.summary["versions"]})
    rows = [
        ("name", *(run.summary["name"] for run in runs)),
        ("backend", *(run.backend for run in runs)),
        ("device", *(_device(run) for run in runs)),
        ("model", *(model_line(run) for run in runs)),
        ("data", *(_data(run) for run in runs)),
        ("method", *(run.summary["method"] for run in runs)),
        ("seed", *(run.summary["seed"] for run in runs)),
        (
            "steps",
            *(
                f"{run.summary['steps']:,} ({measure(float(run.summary['epochs']))} epochs, {run.summary['status'].replace('_', ' ')})"
                for run in runs
            ),
        ),
        *((f"{name} version", *(run.summary["versions"].get(name) for run in runs)) for name in versions),
    ]
    return section("Runs" if len(runs) > 1 else "Run", table(("", *labels(runs)), rows, ("", *ROLES[len(runs)])))


def _device(run: Run) -> str:
    hardware = run.summary["hardware"]
    name = hardware.get("cpu") if str(run.summary["device"]).lower() == "cpu" else hardware.get("accelerator")
    return f"{run.summary['device']} ({name}, {hardware.get('cores')} cores)" if name else str(run.summary["device"])


def model_line(run: Run) -> str:
    """The model in one phrase."""
    model = run.summary["model"]
    return (
        f"{model.get('family')}, {measure(model.get('parameters'))} parameters, {model.get('source') or 'from scratch'}"
    )


def _data(run: Run) -> str:
    data = run.summary["data"]
    return f"{data.get('name')} ({', '.join(f'{split} {measure(size)}' for split, size in (data.get('sizes') or {}).items())})"


def loss_figure(runs: Sequence[Run]) -> Html:
    """Training loss of every run, and its validation losses as points."""
    lines = []
    for role, run in zip(ROLES[len(runs)], runs, strict=True):
        lines += smoothed(Line(role, run.step, run.loss))
        points = [
            (entry["step"], entry["loss"])
            for entry in run.evaluations
            if entry.get("split") == "validation" and entry.get("loss") is not None
        ]
        if points:
            x, y = np.array(points, dtype=float).T
            lines.append(Line(role, x, y, points=True))
    caption = "Faint: every logged step. Line: moving average. Points: validation."
    return figure("Loss", line_chart("Training loss by step", lines, "loss"), caption)


def difference_figure(a: Run, b: Run) -> Html:
    """Relative difference of the two training losses, on a logarithmic axis."""
    steps, loss_a, loss_b = common_steps(a, b)
    difference = relative_difference(loss_a, loss_b)
    caption = f"|a - b| / max(|a|, |b|) at {len(steps):,} common steps, logarithmic."
    if not difference.any():
        return figure("Difference of the losses", Html("<p>The two curves are equal to the last digit.</p>"), caption)
    return figure(
        "Difference of the losses",
        line_chart("Relative difference of the losses by step", [Line("ink", steps, difference)], "", log=True),
        caption,
    )


def curves(runs: Sequence[Run]) -> Html:
    """Loss, difference, learning rate and time per step."""
    figures = [loss_figure(runs)]
    if len(runs) == 2:
        figures.append(difference_figure(*runs))
    rates = [Line(role, run.step, run.learning_rate) for role, run in zip(ROLES[len(runs)], runs, strict=True)]
    figures.append(figure("Learning rate", line_chart("Learning rate by step", rates, "")))
    times = [Line(role, run.step, run.duration) for role, run in zip(ROLES[len(runs)], runs, strict=True)]
    caption = "Seconds, logarithmic. The first step includes compilation."
    figures.append(figure("Time per step", line_chart("Seconds per step", times, "", log=True), caption))
    return section("Curves", key(runs), Html(f'<div class="grid">{"".join(figures)}</div>'))


def metric_rows(runs: Sequence[Run]) -> list[tuple[str, list[float | None]]]:
    """(row title, value of every run) for the metrics before training, of the best checkpoint, and on the test
    split."""
    titles = (("before", "validation, before training"), ("validation", "validation, best"), ("test", "test"))
    rows = []
    for part, title in titles:
        values = [
            {name: value for name, value in (run.summary[part] or {}).items() if _is_number(value)} for run in runs
        ]
        names = dict.fromkeys(name for one in values for name in one)
        rows += [(f"{title}: {name.replace('_', ' ')}", [one.get(name) for one in values]) for name in names]
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _difference(first: float | None, second: float | None) -> str | None:
    return None if first is None or second is None else measure(second - first)


def metrics(runs: Sequence[Run]) -> Html:
    """The metrics of every run and, for two runs, their difference."""
    head, roles = ("", *labels(runs)), ("", *ROLES[len(runs)])
    rows = []
    for title, values in metric_rows(runs):
        difference = [_difference(*values)] if len(runs) == 2 else []
        rows.append((title, *(measure(value) for value in values), *difference))
    if len(runs) == 2:
        head = (*head, "second minus first")
    return section("Metrics", table(head, rows, roles)) if rows else Html("")


def resources(runs: Sequence[Run]) -> Html:
    """Time, memory, and trainable parameters by component."""
    summaries = [run.summary for run in runs]
    parts = ("total", "training", "evaluation", "compile")
    rows = [("time per step (median)", *(duration(one["seconds_per_step"]) for one in summaries))]
    rows += [
        (f"time, {part}", *(duration(one["seconds"].get(part)) for one in summaries))
        for part in parts
        if _any(summaries, "seconds", part)
    ]
    rows += [
        (f"steps a second, {part}", *(measure((one.get("steps_per_second") or {}).get(key)) for one in summaries))
        for key, part in (("training", "training alone"), ("total", "with evaluations"))
        if any((one.get("steps_per_second") or {}).get(key) for one in summaries)
    ]
    rows += [("peak memory", *(byte_size(one["peak_memory_bytes"]) for one in summaries))]
    rows += [("adapter on disk", *(byte_size(one["adapter_bytes"]) for one in summaries))]
    rows += [
        (f"trainable parameters, {part}", *(measure(one["trainable"].get(part)) for one in summaries))
        for part in dict.fromkeys(part for one in summaries for part in one["trainable"])  # the total last
        if _any(summaries, "trainable", part)
    ]
    return section("Time, memory and trainable parameters", table(("", *labels(runs)), rows, ("", *ROLES[len(runs)])))


def _any(summaries: Sequence[Mapping[str, Any]], part: str, name: str) -> bool:
    """Whether some run has a figure above zero, so that rows of zeros are left out."""
    return any(one[part].get(name) for one in summaries)


def settings(runs: Sequence[Run]) -> Html:
    """What differs between the settings of two runs, and all settings folded away."""
    flat = [flatten(run.summary["settings"]) for run in runs]
    names = dict.fromkeys(name for one in flat for name in one)
    everything = [(name, *(one.get(name) for one in flat)) for name in names]
    head, roles = ("", *labels(runs)), ("", *ROLES[len(runs)])
    parts = [details(f"All {len(everything)} settings", table(head, everything, roles))]
    if len(runs) == 2:
        differing = [row for row in everything if row[1] != row[2]]
        parts.insert(
            0, table(head, differing, roles) if differing else Html("<p>Both runs have the same settings.</p>")
        )
    return section("Settings that differ" if len(runs) == 2 else "Settings", *parts)
