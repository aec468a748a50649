"""``twinlora trace``: record what this machine computes, and compare what two machines recorded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command and its two actions."""
    parser = subparsers.add_parser(
        "trace", help="record golden traces on machines that never meet, and compare them", allow_abbrev=False
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "compute a suite here and keep the results; inputs are drawn from counters, or read from your own files, and never part of a trace"
    record = actions.add_parser("record", help=text, description=text, allow_abbrev=False)
    record.add_argument("suite", metavar="SUITE", help="ops, layers, models, training, all, or recorded (with --log)")
    options.add_experiment(record, required=False)
    options.add_backend(record, required=True)
    options.add_suite(record)
    record.add_argument(
        "--dtype", default="float32", help="float32, or float64 for a reference (PyTorch); default: float32"
    )
    record.add_argument(
        "--stats-only", action="store_true", help="keep figures and hashes alone: a manifest small enough to paste"
    )
    record.add_argument(
        "--draws",
        metavar="N",
        type=int,
        help="compute the reference N times, with rounding at random, to see how far rounding moves a case",
    )
    record.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="folder of the trace")
    record.set_defaults(action=_record)
    text = "lay a trace beside a baseline; needs neither framework. Exit code 0: agreement, 1: a case fails, 2: something could not be compared"
    compare = actions.add_parser("compare", help=text, description=text, allow_abbrev=False)
    compare.add_argument("baseline", metavar="BASELINE", type=Path, help="a trace, for instance PyTorch's")
    compare.add_argument("test", metavar="TEST", type=Path, help="the trace that is judged")
    compare.add_argument(
        "--reference",
        metavar="TRACE",
        type=Path,
        help="the same suite in float64, by which the errors of both are known",
    )
    compare.add_argument(
        "--draws", metavar="TRACE", type=Path, help="what record --draws kept of the cases that differ"
    )
    compare.add_argument("--html", metavar="FILE", type=Path, help="also write a page")
    compare.add_argument("--markdown", metavar="FILE", type=Path, help="also write a table to paste")
    compare.add_argument("--json", metavar="FILE", type=Path, help="also write everything")
    compare.set_defaults(action=_compare)
    return parser


def run(args: argparse.Namespace) -> int | None:
    """Do what was asked; a number is the exit code."""
    return args.action(args)


def _record(args: argparse.Namespace) -> None:
    from common.parity.commands import record_trace

    given: dict[str, Any] = {
        "only": args.only,
        "steps": args.steps,
        "log": args.log,
        "draws": args.draws,
        "config": options.optional_experiment(args),
    }
    flags = {"compile": options.compiled(args), "plain": args.plain, "stats_only": args.stats_only}
    record_trace(args.suite, args.backend, args.device, args.dtype, args.output, given, **flags)


def _compare(args: argparse.Namespace) -> int:
    from common.parity.commands import compare_traces

    written = args.html, args.markdown, args.json
    return compare_traces(args.baseline, args.test, args.reference, *written, args.draws).exit_code
