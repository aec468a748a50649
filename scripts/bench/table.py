#!/usr/bin/env python3
"""Turn the summary.json files of measured runs into docs/results.md and docs/results.json.

    python scripts/bench/table.py [RUNS]
    python scripts/bench/table.py runs/bench-tasks --page tasks    (docs/tasks.md and docs/tasks.json)
 RUNS (default: runs/bench) is searched for summary.json files. Runs named JOB-seedN are seeds of one job; a row holds
their median and, when there are several, the lowest and highest value. Numbers are only read, never typed: to change
the table, run the measurement again.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from common.errors import InputError, run_script
from common.files import write_atomic, write_json

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = {"pytorch": "PyTorch", "mindspore": "MindSpore", "peft": "PEFT + transformers"}
HEADER = "| job | backend | metric | before | after | loss | steps | seconds | s/step | peak memory | seeds |\n|---|---|---|---|---|---|---|---|---|---|---|"
Summary = dict[str, Any]


def read_runs(folder: Path) -> list[Summary]:
    """Every finished run below ``folder``, by job, backend and seed.

    Raises:
        InputError: there is none, one is unreadable, or runs of one job differ in more than their seed.
    """
    summaries = []
    for path in sorted(folder.glob("**/summary.json")):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            summary["job"] = re.sub(r"-seed\d+$", "", summary["name"])
            finished = summary["status"] != "failed"
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path} must be the summary of a run; it cannot be read: {error!r}. Remove that run and measure it again."
            ) from error
        if finished:
            summaries.append(summary)
        else:
            print(f"left out, because it failed: {path}", file=sys.stderr)
    if not summaries:
        raise InputError(
            f"Finished runs were expected below {folder}; there are none. Make them with: bash scripts/bench/measure.sh DATA"
        )
    for job, runs in grouped(summaries, "job").items():
        settings = {json.dumps(comparable(run["settings"]), sort_keys=True) for run in runs}
        if len(settings) > 1:
            raise InputError(
                f"The runs of {job} must have the same settings in every backend and seed; {len(settings)} different ones were found below {folder}."
            )
    order = list(BACKENDS)
    return sorted(summaries, key=lambda run: (run["job"], order.index(run["backend"]), run["seed"]))


_WAYS = ("compile", "plain", "recompute", "shard")


def comparable(settings: Summary) -> Summary:
    """The settings without what may differ between the runs of one job: name and seed, the place of the data, and the
    way a step is computed."""
    data = {key: value for key, value in settings["data"].items() if key != "directory"}
    training = {key: value for key, value in settings["training"].items() if key not in _WAYS}
    return {key: value for key, value in settings.items() if key not in ("name", "seed")} | {
        "data": data,
        "training": training,
    }


def grouped(runs: Iterable[Summary], *keys: str) -> dict[Any, list[Summary]]:
    """Runs by the values of ``keys``, in the order of their first appearance."""
    groups = defaultdict(list)
    for run in runs:
        groups[tuple(run[key] for key in keys) if len(keys) > 1 else run[keys[0]]].append(run)
    return dict(groups)


def metric_of(run: Summary) -> tuple[str, str]:
    """The metric that chose the best checkpoint, and the split it is reported on: test where its labels are known."""
    name = run["settings"]["training"]["metric"]
    return name, "test" if run["test"] and name in run["test"] else "validation"


def spread(values: list[float], form: str) -> str:
    """Median, with the range when there are several values: ``0.8852 (0.8841 to 0.8869)``."""
    median = format(statistics.median(values), form)
    return median if len(values) == 1 else f"{median} ({format(min(values), form)} to {format(max(values), form)})"


def row(runs: list[Summary]) -> str:
    """One line of the table: the seeds of one job in one backend."""
    first = runs[0]
    metric, split = metric_of(first)
    form = ".2f" if metric == "perplexity" else ".4f"

    def median(read: Callable[[Summary], float]) -> float:
        return statistics.median(read(run) for run in runs)

    cells = [
        first["job"],
        BACKENDS[first["backend"]],
        f"{metric}, {split}",
        format(median(lambda run: run["before"][metric]), form) if metric in (first["before"] or {}) else "",
        spread([run[split][metric] for run in runs], form),
        format(median(lambda run: run[split]["loss"]), ".4f"),
        format(median(lambda run: run["steps"]), ".0f"),
        format(median(lambda run: run["seconds"]["total"]), ".0f"),
        format(median(lambda run: run["seconds_per_step"]), ".3f"),
        format(median(lambda run: run["peak_memory_bytes"]) / 2**20, ".0f") + " MiB",
        ", ".join(str(run["seed"]) for run in runs),
    ]
    return f"| {' | '.join(cells)} |"


def agreement(job: str, runs: list[Summary]) -> str | None:
    """How far the medians of a job's backends lie apart."""
    if len(backends := grouped(runs, "backend")) < 2:
        return None
    metric, split = metric_of(runs[0])
    medians = {
        BACKENDS[name]: statistics.median(run[split][metric] for run in group) for name, group in backends.items()
    }
    largest, smallest = max(medians, key=medians.get), min(medians, key=medians.get)
    if round(medians[largest] - medians[smallest], 4) == 0:
        return f"- {job}: {metric} is the same in {' and '.join(medians)} to four decimals (medians, {split})."
    return f"- {job}: {metric} differs by {medians[largest] - medians[smallest]:.4f} at most ({largest} against {smallest}, medians, {split})."


def conditions(runs: list[Summary]) -> list[str]:
    """Versions and hardware of each backend, one line for each combination that occurs."""
    lines = {}
    for run in runs:
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version)
        hardware = run["hardware"]
        threads, memory = (
            f"{hardware['threads']} threads on {hardware['cores']} cores",
            f"{hardware['memory_bytes'] / 2**30:.0f} GiB",
        )
        machine = ", ".join(str(part) for part in (hardware["cpu"], threads, memory, hardware["accelerator"]) if part)
        lines[f"- {BACKENDS[run['backend']]} on {run['device']}: {versions}; {machine}."] = None
    return list(lines)


def markdown(runs: list[Summary]) -> str:
    """The table, how far the backends lie apart, and under which conditions it was measured."""
    rows = [row(group) for group in grouped(runs, "job", "backend").values()]
    apart = [line for job, group in grouped(runs, "job").items() if (line := agreement(job, group))]
    note = (
        "`before`: the untrained model on the validation split. `after` and `loss`: the best checkpoint on the named split. "
        "Several seeds: the median (lowest to highest)."
    )
    return "\n".join([HEADER, *rows, "", note, "", *apart, *([""] if apart else []), *conditions(runs)])


def write_page(root: Path, page: str, title: str, runs: list[Summary], block: str) -> None:
    """Write docs/PAGE.md and docs/PAGE.json."""
    measured = [run | {"settings": comparable(run["settings"])} for run in runs]
    write_json(root / "docs" / f"{page}.json", measured)
    about = "Written by scripts/bench/table.py from the runs' summary.json files."
    write_atomic(root / "docs" / f"{page}.md", f"# {title}\n\n{about}\n\n{block}\n")


def main(arguments: list[str] | None = None) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=Path, default=ROOT / "runs" / "bench")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout whose docs/ is written")
    parser.add_argument("--page", metavar="NAME", help="write docs/NAME.md and docs/NAME.json instead")
    options = parser.parse_args(arguments)
    runs = read_runs(options.runs)
    block = markdown(runs)
    page = options.page or "results"
    write_page(options.root, page, f"Measured results: {page}" if options.page else "Measured results", runs, block)


if __name__ == "__main__":
    run_script(main)
