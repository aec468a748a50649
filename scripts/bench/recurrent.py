#!/usr/bin/env python3
"""Recurrent networks: the tables of docs/studies/recurrent.md.

    python scripts/bench/recurrent.py steps                  measure layers: compilation and steps, in processor time
    python scripts/bench/recurrent.py take TABLE NAME RUN    keep a run in TABLE: music or characters
    python scripts/bench/recurrent.py page                   the tables, from docs/studies/recurrent.json

NAME is what the page calls the run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from performance import between

from common.errors import InputError, run_script
from common.files import write_atomic, write_json

ROOT = Path(__file__).resolve().parents[2]
PAGE, KEPT = (ROOT / "docs" / "studies" / f"recurrent.{kind}" for kind in ("md", "json"))
TABLES = {
    "music": ("loss", "accuracy"),
    "characters": ("loss", "perplexity"),
}
BATCH, WIDTH, HIDDEN, LENGTHS = 16, 100, 128, (16, 64)
UNROLLED = (16,)  #: longer ones are compiled for many seconds
REPEATS = 3


def kept() -> dict[str, Any]:
    """What is kept so far."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}


def take(table: str, name: str, run: Path) -> None:
    """Add a run."""
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    metrics = TABLES[table]
    found = kept()
    found.setdefault("runs", {}).setdefault(table, {})[name] = {
        "backend": summary["backend"],
        "parameters": summary["model"]["parameters"],
        "steps": summary["steps"],
        "best_step": summary["best_step"],
        "optimization": summary["settings"]["optimization"],
        "batch": summary["settings"]["training"]["global_batch_size"],
        "validation": {metric: summary["validation"][metric] for metric in metrics},
        "test": {metric: summary["test"][metric] for metric in metrics},
        "processor": summary["hardware"]["cpu"],
    }
    write_json(KEPT, found)


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Processor seconds of the first call, and the median of the next ones."""
    spent = []
    for _ in range(1 + REPEATS):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return spent[0], statistics.median(spent[1:])


def of_torch(cell: str, length: int) -> tuple[float, float]:
    """Forward and backward pass of torch.nn's layer."""
    import torch

    torch.set_num_threads(1)
    layer = {"tanh": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](WIDTH, HIDDEN, batch_first=True)
    x = torch.randn(BATCH, length, WIDTH)

    def step() -> None:
        layer.zero_grad()
        outputs, _ = layer(x)
        (outputs * outputs).sum().backward()

    return timed(step)


def of_mindspore(cell: str, length: int, unrolled: bool) -> tuple[float, float]:
    """The same of a layer of the MindSpore backend, or of one whose steps a graph unrolls."""
    import mindspore as ms

    from mindspore_impl import nn
    from mindspore_impl.blocks.placing import placed
    from mindspore_impl.layers import recurrent

    name = {"tanh": "RNN", "lstm": "LSTM", "gru": "GRU"}[cell]
    random = np.random.default_rng(0)
    made = getattr(nn if unrolled else recurrent, name)
    layer = made(WIDTH, HIDDEN, batch_first=True) if unrolled else placed(made("layer", WIDTH, HIDDEN), "layer")
    for parameter in layer.get_parameters():
        parameter.set_data(ms.Tensor(random.normal(0, 0.1, parameter.shape).astype(np.float32)))
        parameter.requires_grad = True
    x = ms.Tensor(random.normal(size=(BATCH, length, WIDTH)).astype(np.float32))
    lengths = ms.Tensor(np.full(BATCH, length, np.int32))

    def loss(given: ms.Tensor, ends: ms.Tensor) -> ms.Tensor:
        outputs = layer(given)[0] if unrolled else layer(given, ends)[0]
        return (outputs * outputs).sum()

    function = ms.jit(ms.value_and_grad(loss, None, ms.ParameterTuple(layer.trainable_params())))
    return timed(lambda: function(x, lengths)[1][0].asnumpy())


def measure() -> None:
    """Every cell at every length."""
    found: list[dict[str, Any]] = []
    for cell in ("tanh", "lstm", "gru"):
        for length in LENGTHS:
            ways: dict[str, Callable[[], tuple[float, float]]] = {
                "torch.nn": lambda cell=cell, length=length: of_torch(cell, length),
                "MindSpore, this project": lambda cell=cell, length=length: of_mindspore(cell, length, False),
            }
            if length in UNROLLED:
                ways["MindSpore, unrolled"] = lambda cell=cell, length=length: of_mindspore(cell, length, True)
            for way, run in ways.items():
                first, later = run()
                found.append({"cell": cell, "length": length, "way": way, "first": first, "step": later})
                print(found[-1], flush=True)
    write_json(KEPT, {**kept(), "steps": found})


def steps_table(rows: list[dict[str, Any]]) -> str:
    """Processor time of the first call, which compiles, and of the next ones."""
    lines = ["| cell | length | computed by | first call, s | next ones, ms |", "|---|---:|---|---:|---:|"]
    for row in rows:
        cells = [row["cell"], str(row["length"]), row["way"], f"{row['first']:.2f}", f"{1000 * row['step']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def runs_table(table: str, runs: dict[str, Any]) -> str:
    """One row a run."""
    metrics = TABLES[table]
    lines = [f"| network | backend | parameters | steps | {' | '.join(f'{metric}, test' for metric in metrics)} |"]
    lines[0] = lines[0].replace("| steps |", f"| steps | {metrics[0]}, validation |")
    lines.append("|---|---|" + "---:|" * (3 + len(metrics)))
    for name, run in runs.items():
        cells = [name, run["backend"], f"{run['parameters']:,}", f"{run['steps']:,}"]
        cells += [f"{run['validation'][metrics[0]]:.4f}", *(f"{run['test'][metric]:.4f}" for metric in metrics)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_page() -> None:
    """Put the tables into the page."""
    found = kept()
    if not found:
        raise InputError(f"{KEPT} is missing. Measure steps, or keep a run, first.")
    page = PAGE.read_text(encoding="utf-8")
    page = between(page, "steps", steps_table(found.get("steps", [])))
    for table in TABLES:
        page = between(page, table, runs_table(table, found.get("runs", {}).get(table, {})))
    write_atomic(PAGE, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("steps")
    taking = commands.add_parser("take")
    taking.add_argument("table", choices=TABLES)
    taking.add_argument("name")
    taking.add_argument("run", type=Path)
    commands.add_parser("page")
    args = parser.parse_args()
    if args.command == "steps":
        measure()
    elif args.command == "take":
        take(args.table, args.name, args.run)
    else:
        write_page()


if __name__ == "__main__":
    run_script(main)
