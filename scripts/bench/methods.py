#!/usr/bin/env python3
"""Measure what a training step of every method takes, against training every parameter.

    python scripts/bench/methods.py --backend pytorch -o docs/performance/methods-pytorch.json
    python scripts/bench/methods.py --page            writes the table of docs/methods.md from these files

All methods train the same model on the same batches in one process, and take turns, a step each. Targets are all linear
layers of the encoder, the rank is 8; everything else is what a method's own tests use.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
from performance import between

from common import backend as backends
from common.bench.cases import load_case
from common.bench.rounds import alternate, median, ratios
from common.bench.settings import Settings, save, say
from common.errors import InputError, RunError, run_script
from common.files import write_atomic
from common.methods import METHODS, Method
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.training.assembly import build_engine

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "methods.md"
TARGETS = ("*.query", "*.key", "*.value", "*.dense")
TITLES = {"pytorch": "PyTorch", "mindspore": "MindSpore"}
BASE = "full"  #: what the others are divided by


def plan_of(method: Method, spec: ModelSpec) -> Plan:
    """The plan of ``method`` for all linear layers of the encoder."""
    options = method.example(TARGETS)
    if hasattr(options, "rank"):
        options = dataclasses.replace(options, rank=8)
    return method.plan(options, spec)


def measure(args: argparse.Namespace) -> None:
    """Steps of every method in turn, and the file."""
    settings = Settings(args.threads, args.rounds, model=args.model, output=args.output)
    case = load_case(settings.request(args.case, count=8))
    engines, trained = {}, {}
    backend = backends.load(args.backend)
    for method in METHODS:
        plan = plan_of(method, case.spec)
        trained[method.name] = plan.counts()["total"]
        engines[method.name] = build_engine(backend, backend.device.select(None), case.config, case.spec, plan)

    def seconds(name: str) -> float:
        """Of a step, over ``--steps`` of them."""
        begun = time.perf_counter()
        handles = [engines[name].train_step([batch], 1e-5) for batch in case.batches[: args.steps]]
        if not np.isfinite(engines[name].fetch(handles)).all():
            raise RunError(f"The loss of {name} is not finite; its time says nothing.")
        return (time.perf_counter() - begun) / args.steps

    for name in engines:
        say(f"{name}: {seconds(name):.2f} s for each of the first steps, which are not counted")
    samples = alternate({name: lambda name=name: seconds(name) for name in engines}, args.rounds, say)
    results = {
        "case": args.case,
        "backend": args.backend,
        "steps_per_round": args.steps,
        "trained": trained,
        "seconds_per_step": {name: {"median": median(found), "samples": found} for name, found in samples.items()},
        "ratios": ratios(samples, [(name, BASE) for name in engines if name != BASE]),
    }
    say(f"written: {save('methods', settings, results, list(engines))}")


def table(files: list[Path]) -> str:
    """A row for every method, a column for every file."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    names = [TITLES[each["backend"]] for each in found]
    lines = ["| method | trained | " + " | ".join(names) + " |", "|---|---:|" + "---:|" * len(found)]
    for method, count in sorted(found[0]["trained"].items(), key=lambda item: -item[1]):
        cells = []
        for each in found:
            ratio = each["ratios"].get(f"{method}/{BASE}")
            quartiles = (
                ratio and f"{ratio['median']:.2f} ({ratio['lower_quartile']:.2f} to {ratio['upper_quartile']:.2f})"
            )
            cells.append(quartiles or "1")
        lines.append(f"| `{method}` | {count:,} | " + " | ".join(cells) + " |")
    machines = {f"{each['hardware']['cpu']}, {each['hardware']['threads']} thread" for each in found}
    rounds = min(each["settings"]["rounds"] for each in found)
    lines += ["", f"Case {found[0]['case']}, {', '.join(sorted(machines))}: median and quartiles of {rounds} rounds."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=list(TITLES))
    parser.add_argument("--case", default="minilm-16x32")
    parser.add_argument("--model", default=None)
    parser.add_argument("--threads", type=int, default=1, help="as OMP_NUM_THREADS says; default: 1")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=2, help="of every method in a round, at most 8; default: 2")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--page", action="store_true", help="write the table of docs/methods.md")
    args = parser.parse_args(arguments)
    if args.page:
        files = sorted((ROOT / "docs" / "performance").glob("methods-*.json"), reverse=True)
        write_atomic(PAGE, between(PAGE.read_text(encoding="utf-8"), "methods", table(files)))
    elif args.backend:
        measure(args)
    else:
        raise InputError("Name what is measured with --backend, or write the table with --page.")


if __name__ == "__main__":
    run_script(main)
