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
    figures += [_metric_figure(runs), _norm_figure(runs), _time_figure(runs)]
    return section("Curves", key(runs), Html(f'<div class="grid">{"".join(figures)}</div>'))


def _metric_figure(runs: Sequence[Run]) -> Html:
    """The metric that decides the best state, at every evaluation; nothing where it is the loss."""
    metric = (runs[0].summary["settings"].get("training") or {}).get("metric", "loss")
    lines = []
    for role, run in zip(ROLES[len(runs)], runs, strict=True):
        found = [
            (entry["step"], entry[metric])
            for entry in run.evaluations
            if entry.get("split") == "validation" and _is_number(entry.get(metric))
        ]
        if len(found) > 1:
            x, y = np.array(found, dtype=float).T
            lines += [Line(role, x, y), Line(role, x, y, points=True)]
    if metric == "loss" or not lines:
        return Html("")
    title = metric.replace("_", " ")
    return figure(title.capitalize(), line_chart(f"{title} by step", lines, ""), "Validation split.")


def _norm_figure(runs: Sequence[Run]) -> Html:
    """Norm of the gradients before they are clipped, where it was logged."""
    lines = []
    for role, run in zip(ROLES[len(runs)], runs, strict=True):
        if np.isfinite(run.gradient_norm).any():
            lines += smoothed(Line(role, run.step, run.gradient_norm))
    return (
        figure("Gradient norm", line_chart("Gradient norm by step", lines, ""), "Before clipping.")
        if lines
        else Html("")
    )


def _time_figure(runs: Sequence[Run]) -> Html:
    """Seconds of every step, on a logarithmic axis where the first one, with its compilation, would hide the others."""
    times = [Line(role, run.step, run.duration) for role, run in zip(ROLES[len(runs)], runs, strict=True)]
    positive = np.concatenate([line.y[line.y > 0] for line in times])
    log = bool(len(positive)) and positive.max() > 10 * positive.min()
    caption = f"Seconds{', logarithmic' if log else ''}. The first step includes compilation."
    return figure("Time per step", line_chart("Seconds per step", times, "", log=log), caption)


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
    """The metrics of one run before training, of its best state and on the test split; of two runs, and their
    difference."""
    if len(runs) == 1:
        return _metrics_of_one(runs[0])
    head, roles = ("", *labels(runs)), ("", *ROLES[len(runs)])
    rows = []
    for title, values in metric_rows(runs):
        rows.append((title, *(measure(value) for value in values), _difference(*values)))
    return section("Metrics", table((*head, "second minus first"), rows, roles)) if rows else Html("")


def _metrics_of_one(run: Run) -> Html:
    """A row for each metric; every evaluation is folded away below."""
    titles = (("before", "before training"), ("validation", f"best, step {run.summary['best_step']}"), ("test", "test"))
    parts = {part: run.summary[part] or {} for part, _ in titles}
    there = [(part, title) for part, title in titles if any(map(_is_number, parts[part].values()))]
    names = dict.fromkeys(name for part, _ in there for name, value in parts[part].items() if _is_number(value))
    rows = [(name.replace("_", " "), *(measure(parts[part].get(name)) for part, _ in there)) for name in names]
    if not rows:
        return Html("")
    head = ("", *(title if part == "test" else f"validation, {title}" for part, title in there))
    return section("Metrics", table(head, rows), _evaluations(run))


def _evaluations(run: Run) -> Html:
    """Every evaluation of the run, one row each."""
    hidden = ("event", "step", "epoch", "split", "best", "seconds", "duration")
    names = dict.fromkeys(
        name
        for entry in run.evaluations
        for name, value in entry.items()
        if name not in hidden and not isinstance(value, list | dict)
    )
    splits = {entry.get("split") for entry in run.evaluations}
    rows = [
        (
            f"{measure(entry.get('step'))}{' (best so far)' if entry.get('best') else ''}",
            *([entry.get("split")] if len(splits) > 1 else []),
            *(measure(entry.get(name)) for name in names),
        )
        for entry in run.evaluations
    ]
    if not rows:
        return Html("")
    head = ("step", *(["split"] if len(splits) > 1 else []), *(name.replace("_", " ") for name in names))
    return details("1 evaluation" if len(rows) == 1 else f"All {len(rows)} evaluations", table(head, rows))


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
