"""Parts of a page that one run, two runs and the demonstration share. Every function takes one run or two, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.language import term, translated
from common.report.elements import (
    Html,
    byte_size,
    details,
    duration,
    escape,
    figure,
    legend,
    measure,
    note,
    section,
    table,
)
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
        what = translated(
            "{name}, seed {seed}, {framework} on {device}",
            name=summary["name"],
            seed=summary["seed"],
            framework=framework,
            device=_device(run),
        )
        lines.append(Html(f"<b>{escape(label)}</b> {escape(what)}"))
    return Html("<br>".join(lines))


def runs_table(runs: Sequence[Run]) -> Html:
    """Who the runs are: name, backend, device, versions."""
    versions = sorted({name for run in runs for name in run.summary["versions"]})
    rows = [
        (translated("name"), *(run.summary["name"] for run in runs)),
        (translated("backend"), *(run.backend for run in runs)),
        (translated("device"), *(_device(run) for run in runs)),
        (translated("model"), *(model_line(run) for run in runs)),
        (translated("data"), *(_data(run) for run in runs)),
        (translated("method"), *(run.summary["method"] for run in runs)),
        (translated("seed"), *(run.summary["seed"] for run in runs)),
        (
            translated("steps"),
            *(
                translated(
                    "{steps} ({epochs} epochs, {status})",
                    steps=measure(run.summary["steps"]),
                    epochs=measure(float(run.summary["epochs"])),
                    status=term(run.summary["status"].replace("_", " ")),
                )
                for run in runs
            ),
        ),
        *(
            (translated("{name} version", name=term(name)), *(run.summary["versions"].get(name) for run in runs))
            for name in versions
        ),
    ]
    return section(
        translated("Runs") if len(runs) > 1 else translated("Run"),
        table(("", *labels(runs)), rows, ("", *ROLES[len(runs)])),
    )


def _device(run: Run) -> str:
    hardware = run.summary["hardware"]
    name = hardware.get("cpu") if str(run.summary["device"]).lower() == "cpu" else hardware.get("accelerator")
    device, cores = str(run.summary["device"]), hardware.get("cores")
    return translated("{device} ({name}, {cores} cores)", device=device, name=name, cores=cores) if name else device


def model_line(run: Run) -> str:
    """The model in one phrase."""
    model = run.summary["model"]
    return translated(
        "{family}, {count} parameters, {source}",
        family=model.get("family"),
        count=measure(model.get("parameters")),
        source=model.get("source") or translated("from scratch"),
    )


def _data(run: Run) -> str:
    data = run.summary["data"]
    sizes = (f"{term(split)} {measure(size)}" for split, size in (data.get("sizes") or {}).items())
    return f"{data.get('name')} ({', '.join(sizes)})"


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
    caption = translated("Faint: every logged step. Line: moving average. Points: validation.")
    drawing = line_chart(translated("Training loss by step"), lines, term("loss"), x_label=translated("step"))
    return figure(translated("Loss"), drawing, caption)


def difference_figure(a: Run, b: Run) -> Html:
    """Relative difference of the two training losses, on a logarithmic axis."""
    steps, loss_a, loss_b = common_steps(a, b)
    difference = relative_difference(loss_a, loss_b)
    caption = translated("|a - b| / max(|a|, |b|) at {count} common steps, logarithmic.", count=f"{len(steps):,}")
    title = translated("Difference of the losses")
    if not difference.any():
        return figure(title, note(translated("The two curves are equal to the last digit.")), caption)
    label, line = translated("Relative difference of the losses by step"), Line("ink", steps, difference)
    return figure(title, line_chart(label, [line], "", log=True, x_label=translated("step")), caption)


def curves(runs: Sequence[Run]) -> Html:
    """Loss, difference, learning rate and time per step."""
    figures = [loss_figure(runs)]
    if len(runs) == 2:
        figures.append(difference_figure(*runs))
    rates = [Line(role, run.step, run.learning_rate) for role, run in zip(ROLES[len(runs)], runs, strict=True)]
    drawing = line_chart(translated("Learning rate by step"), rates, "", x_label=translated("step"))
    figures.append(figure(translated("Learning rate"), drawing))
    figures += [_metric_figure(runs), _norm_figure(runs), _time_figure(runs)]
    return section(translated("Curves"), key(runs), Html(f'<div class="grid">{"".join(figures)}</div>'))


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
    title = term(metric.replace("_", " "))
    label = translated("{metric} by step", metric=title)
    drawing = line_chart(label, lines, "", x_label=translated("step"))
    return figure(title.capitalize(), drawing, translated("Validation split."))


def _norm_figure(runs: Sequence[Run]) -> Html:
    """Norm of the gradients before they are clipped, where it was logged."""
    lines = []
    for role, run in zip(ROLES[len(runs)], runs, strict=True):
        if np.isfinite(run.gradient_norm).any():
            lines += smoothed(Line(role, run.step, run.gradient_norm))
    if not lines:
        return Html("")
    drawing = line_chart(translated("Gradient norm by step"), lines, "", x_label=translated("step"))
    return figure(translated("Gradient norm"), drawing, translated("Before clipping."))


def _time_figure(runs: Sequence[Run]) -> Html:
    """Seconds of every step, on a logarithmic axis where the first one, with its compilation, would hide the others."""
    times = [Line(role, run.step, run.duration) for role, run in zip(ROLES[len(runs)], runs, strict=True)]
    positive = np.concatenate([line.y[line.y > 0] for line in times])
    log = bool(len(positive)) and positive.max() > 10 * positive.min()
    logarithmic = translated("Seconds, logarithmic. The first step includes compilation.")
    caption = logarithmic if log else translated("Seconds. The first step includes compilation.")
    drawing = line_chart(translated("Seconds per step"), times, "", log=log, x_label=translated("step"))
    return figure(translated("Time per step"), drawing, caption)


def metric_rows(runs: Sequence[Run]) -> list[tuple[str, list[float | None]]]:
    """(row title, value of every run) for the metrics before training, of the best checkpoint, and on the test
    split."""
    titles = (
        ("before", translated("validation, before training")),
        ("validation", translated("validation, best")),
        ("test", term("test")),
    )
    rows = []
    for part, title in titles:
        values = [
            {name: value for name, value in (run.summary[part] or {}).items() if _is_number(value)} for run in runs
        ]
        names = dict.fromkeys(name for one in values for name in one)
        rows += [(f"{title}: {term(name.replace('_', ' '))}", [one.get(name) for one in values]) for name in names]
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
    return (
        section(translated("Metrics"), table((*head, translated("second minus first")), rows, roles))
        if rows
        else Html("")
    )


def _metrics_of_one(run: Run) -> Html:
    """A row for each metric; every evaluation is folded away below."""
    titles = (
        ("before", translated("validation, before training")),
        ("validation", translated("validation, best, step {step}", step=run.summary["best_step"])),
        ("test", term("test")),
    )
    parts = {part: run.summary[part] or {} for part, _ in titles}
    there = [(part, title) for part, title in titles if any(map(_is_number, parts[part].values()))]
    names = dict.fromkeys(name for part, _ in there for name, value in parts[part].items() if _is_number(value))
    rows = [(term(name.replace("_", " ")), *(measure(parts[part].get(name)) for part, _ in there)) for name in names]
    if not rows:
        return Html("")
    head = ("", *(title for _, title in there))
    return section(translated("Metrics"), table(head, rows), _evaluations(run))


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
            _step(entry),
            *([term(str(entry.get("split")))] if len(splits) > 1 else []),
            *(measure(entry.get(name)) for name in names),
        )
        for entry in run.evaluations
    ]
    if not rows:
        return Html("")
    titles = (term(name.replace("_", " ")) for name in names)
    head = (translated("step"), *([translated("split")] if len(splits) > 1 else []), *titles)
    count = translated("1 evaluation") if len(rows) == 1 else translated("All {count} evaluations", count=len(rows))
    return details(count, table(head, rows))


def _step(entry: Mapping[str, Any]) -> str:
    step = measure(entry.get("step"))
    return translated("{step} (best so far)", step=step) if entry.get("best") else step


def resources(runs: Sequence[Run]) -> Html:
    """Time, memory, and trainable parameters by component."""
    summaries = [run.summary for run in runs]
    parts = ("total", "training", "evaluation", "compile")
    rows = [(translated("time per step (median)"), *(duration(one["seconds_per_step"]) for one in summaries))]
    rows += [
        (translated("time, {part}", part=term(part)), *(duration(one["seconds"].get(part)) for one in summaries))
        for part in parts
        if _any(summaries, "seconds", part)
    ]
    rows += [
        (
            translated("steps a second, {part}", part=part),
            *(measure((one.get("steps_per_second") or {}).get(key)) for one in summaries),
        )
        for key, part in (("training", translated("training alone")), ("total", translated("with evaluations")))
        if any((one.get("steps_per_second") or {}).get(key) for one in summaries)
    ]
    rows += [(translated("peak memory"), *(byte_size(one["peak_memory_bytes"]) for one in summaries))]
    rows += [(translated("adapter on disk"), *(byte_size(one["adapter_bytes"]) for one in summaries))]
    rows += [
        (
            translated("trainable parameters, {part}", part=term(part)),
            *(measure(one["trainable"].get(part)) for one in summaries),
        )
        for part in dict.fromkeys(part for one in summaries for part in one["trainable"])  # the total last
        if _any(summaries, "trainable", part)
    ]
    return section(
        translated("Time, memory and trainable parameters"), table(("", *labels(runs)), rows, ("", *ROLES[len(runs)]))
    )


def _any(summaries: Sequence[Mapping[str, Any]], part: str, name: str) -> bool:
    """Whether some run has a figure above zero, so that rows of zeros are left out."""
    return any(one[part].get(name) for one in summaries)


def settings(runs: Sequence[Run]) -> Html:
    """What differs between the settings of two runs, and all settings folded away."""
    flat = [flatten(run.summary["settings"]) for run in runs]
    names = dict.fromkeys(name for one in flat for name in one)
    everything = [(name, *(one.get(name) for one in flat)) for name in names]
    head, roles = ("", *labels(runs)), ("", *ROLES[len(runs)])
    parts = [details(translated("All {count} settings", count=len(everything)), table(head, everything, roles))]
    if len(runs) == 2:
        differing = [row for row in everything if row[1] != row[2]]
        parts.insert(
            0, table(head, differing, roles) if differing else note(translated("Both runs have the same settings."))
        )
    return section(translated("Settings that differ") if len(runs) == 2 else translated("Settings"), *parts)
