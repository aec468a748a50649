"""The page of one run and the page that lays two runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import write_atomic
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
    """Write ``report.html`` into a finished run directory and return its path.

    Args:
        summary: of a run that is about to finish; by default the directory's ``summary.json``.

    Raises:
        InputError: the directory holds no finished run (see ``read_run``).
    """
    loaded = read_run(run, summary)
    content = page(
        f"{loaded.summary['name']} in {loaded.backend}",
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
    content = page(
        f"{a.summary['name']}: {first} and {second}"
        if a.summary["name"] == b.summary["name"]
        else f"{first} and {second}",
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
    what = "largest relative loss difference"
    found = []
    for span, part in (
        (f"first {FIRST_STEPS} steps", steps <= FIRST_STEPS),
        (f"all {len(steps):,} common steps", steps > 0),
    ):
        if part.any():
            found.append(
                (
                    f"{what}, {span}",
                    _scientific(difference[part].max()),
                    f"at step {steps[part][difference[part].argmax()]:,.0f}",
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
        tiles.append(("time per step (median)", f"{ratio:.2f} times", f"{second} against {first}: {times}"))
    return tiles


def _run_tiles(run: Run) -> list[tuple[str, Any, str]]:
    summary = run.summary
    total, parameters = summary["trainable"].get("total"), summary["model"].get("parameters")
    share = f"{100 * total / parameters:.2f} % of {measure(parameters)}" if total and parameters else ""
    best = [
        (f"validation {name.replace('_', ' ')}", measure(value), f"best, step {summary['best_step']}")
        for name, value in (summary["validation"] or {}).items()
    ]
    rest = [
        ("trained parameters", measure(total), share),
        ("time per step", duration(summary["seconds_per_step"]), f"{duration(summary['seconds'].get('total'))} in all"),
        ("peak memory", byte_size(summary["peak_memory_bytes"]), _stored(summary)),
    ]
    return best[:3] + rest


def _lengths(a: Run, b: Run) -> Html:
    """Say so when the two runs did not log the same steps."""
    if len(a.step) == len(b.step) and (a.step == b.step).all():
        return Html("")
    steps, _, _ = common_steps(a, b)
    first, second = labels([a, b])
    return note(
        f"The runs differ in length: {first} logged {len(a.step):,} steps up to step {a.step[-1]:,.0f}, {second} {len(b.step):,} up to {b.step[-1]:,.0f}. "
        f"Differences are taken on the {len(steps):,} steps that both logged, up to step {steps[-1]:,.0f}."
    )


def _stored(summary: Mapping[str, Any]) -> str:
    """What the run stored: an adapter, or the whole model where every parameter is trained."""
    whole = summary["trainable"].get("total") == summary["model"].get("parameters")
    return f"{'model' if whole else 'adapter'} {byte_size(summary['adapter_bytes'])}"
