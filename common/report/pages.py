"""The page of one run and the page that lays two runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import write_atomic
from common.language import term, translated
from common.report import classes, sections
from common.report.elements import Html, byte_size, duration, measure, note, page, tiles
from common.report.runs import Run, common_steps, labels, read_run, relative_difference
from common.training.predictions import Predictions, read_predictions
from common.training.rundir import RunDirectory

__all__ = ["agreement", "compare_runs", "run_page"]

FIRST_STEPS = (
    50  # differences in rounding grow with every update, so agreement is judged on the first steps and shown on all
)


def run_page(run: Path, summary: Mapping[str, Any] | None = None) -> Path:
    """Write ``report.html`` into a finished run directory, in the language of the block (`common.language.speaking`), and
    return its path.

    Args:
        summary: of a run that is about to finish; by default the directory's ``summary.json``.

    Raises:
        InputError: the directory holds no finished run (see ``read_run``).
    """
    loaded = read_run(run, summary)
    content = page(
        translated("{name} in {backend}", name=loaded.summary["name"], backend=loaded.backend),
        sections.lead([loaded]),
        tiles(_run_tiles(loaded)),
        sections.curves([loaded]),
        sections.metrics([loaded]),
        classes.of_run(_predictions(loaded.path)),
        sections.resources([loaded]),
        sections.runs_table([loaded]),
        sections.settings([loaded]),
    )
    out = loaded.path / "report.html"
    write_atomic(out, content)
    return out


def _predictions(path: Path) -> dict[str, Predictions]:
    directory = RunDirectory(path)
    found = {split: read_predictions(directory.predictions(split)) for split in ("validation", "test")}
    return {split: one for split, one in found.items() if one is not None}


def compare_runs(run_a: Path, run_b: Path, out: Path) -> Path:
    """Lay two finished runs side by side in the HTML file ``out`` and return its path.

    Raises:
        InputError: a directory holds no finished run (see ``read_run``), the runs share no step, or ``out`` is a
            directory.
    """
    out = Path(out)
    if out.is_dir():
        raise InputError(
            f"The report is one HTML file; {out} is a directory. Give a file name, for example {out / 'compare.html'}."
        )
    a, b = read_run(run_a), read_run(run_b)
    first, second = labels([a, b])
    both = translated("{first} and {second}", first=first, second=second)
    content = page(
        f"{a.summary['name']}: {both}" if a.summary["name"] == b.summary["name"] else both,
        sections.lead([a, b]),
        tiles(agreement(a, b) + _pair_tiles(a, b)),
        _lengths(a, b),
        sections.curves([a, b]),
        sections.metrics([a, b]),
        sections.settings([a, b]),
        sections.resources([a, b]),
        sections.runs_table([a, b]),
    )
    write_atomic(out, content)
    return out


def agreement(a: Run, b: Run) -> list[tuple[str, str, str]]:
    """Tiles: the largest relative difference of the training losses over the first steps and over all common steps."""
    steps, loss_a, loss_b = common_steps(a, b)
    difference = relative_difference(loss_a, loss_b)
    found = []
    early = translated("largest relative loss difference, first {count} steps", count=FIRST_STEPS)
    everything = translated("largest relative loss difference, all {count} common steps", count=f"{len(steps):,}")
    for title, part in ((early, steps <= FIRST_STEPS), (everything, steps > 0)):
        if part.any():
            found.append(
                (
                    title,
                    _scientific(difference[part].max()),
                    translated("at step {step}", step=f"{steps[part][difference[part].argmax()]:,.0f}"),
                )
            )
    return found


def _scientific(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _pair_tiles(a: Run, b: Run) -> list[tuple[str, str, str]]:
    ratio = b.summary["seconds_per_step"] / a.summary["seconds_per_step"] if a.summary["seconds_per_step"] else None
    first, second = labels([a, b])
    title, values = next((row for row in reversed(sections.metric_rows([a, b])) if None not in row[1]), ("", []))
    tiles = [(title, " · ".join(measure(value) for value in values), f"{first} · {second}")] if values else []
    if ratio:
        times = f"{duration(a.summary['seconds_per_step'])} · {duration(b.summary['seconds_per_step'])}"
        against = translated("{second} against {first}: {times}", second=second, first=first, times=times)
        tiles.append((translated("time per step (median)"), translated("{ratio} times", ratio=f"{ratio:.2f}"), against))
    return tiles


def _run_tiles(run: Run) -> list[tuple[str, Any, str]]:
    summary = run.summary
    total, parameters = summary["trainable"].get("total"), summary["model"].get("parameters")
    percent = f"{100 * total / parameters:.2f}" if total and parameters else ""
    share = translated("{percent} % of {count}", percent=percent, count=measure(parameters)) if percent else ""
    best = [
        (
            translated("validation {metric}", metric=term(name.replace("_", " "))),
            measure(value),
            translated("best, step {step}", step=summary["best_step"]),
        )
        for name, value in (summary["validation"] or {}).items()
    ]
    rest = [
        (translated("trained parameters"), measure(total), share),
        (
            translated("time per step"),
            duration(summary["seconds_per_step"]),
            translated("{time} in all", time=duration(summary["seconds"].get("total"))),
        ),
        (translated("peak memory"), byte_size(summary["peak_memory_bytes"]), _stored(summary)),
    ]
    return best[:3] + rest


def _lengths(a: Run, b: Run) -> Html:
    """Say so when the two runs did not log the same steps."""
    if len(a.step) == len(b.step) and (a.step == b.step).all():
        return Html("")
    steps, _, _ = common_steps(a, b)
    first, second = labels([a, b])
    return note(
        translated(
            "The runs differ in length: {first} logged {count_a} steps up to step {last_a}, {second} {count_b} up to {last_b}. "
            "Differences are taken on the {count} steps that both logged, up to step {last}.",
            first=first,
            second=second,
            count_a=f"{len(a.step):,}",
            count_b=f"{len(b.step):,}",
            last_a=f"{a.step[-1]:,.0f}",
            last_b=f"{b.step[-1]:,.0f}",
            count=f"{len(steps):,}",
            last=f"{steps[-1]:,.0f}",
        )
    )


def _stored(summary: Mapping[str, Any]) -> str:
    """What the run stored: an adapter, or the whole model where every parameter is trained."""
    whole = summary["trainable"].get("total") == summary["model"].get("parameters")
    size = byte_size(summary["adapter_bytes"])
    return translated("model {size}", size=size) if whole else translated("adapter {size}", size=size)
