"""``twinlora study run``: run what has not been run."""

from __future__ import annotations

import argparse
from collections import Counter

from common.errors import InputError
from common.studies import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the subcommand."""
    text = (
        "Run every point of a study that has not been run, each in a process of its own. Finished runs are never "
        "repeated, interrupted ones continue, failed ones are recorded and do not stop the rest."
    )
    parser = subparsers.add_parser("run", help="run a study, or continue it", description=text, allow_abbrev=False)
    options.add_changes(parser)
    parser.add_argument(
        "--device", help="of every run: cpu, cuda, ascend, ...; default: the first accelerator, or the CPU"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at the same time; default: 1")
    options.add_filter(parser)
    parser.add_argument("--dry-run", action="store_true", help="list the runs with an estimate of their time; run none")
    parser.add_argument(
        "--measure", action="store_true", help="of --dry-run: train a few steps of a point to estimate by"
    )
    parser.add_argument("--retry", action="store_true", help="run again what failed or passed a limit")
    parser.add_argument(
        "--same-code", action="store_true", help="keep the runs that are there although the project's code has changed"
    )
    parser.add_argument(
        "--drop", action="store_true", help="leave runs out of the plan that the definition no longer has"
    )
    parser.add_argument("--executor", default="local", help="local or ray; default: local")
    parser.add_argument("--address", help="of a Ray cluster; default: a cluster on this machine")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run, or list; exit code 1 where a run failed or the study was interrupted."""
    from common.studies.run import Options, Study, run_study

    definition, output = options.definition(args)
    chosen = Options(
        args.jobs, args.device, args.executor, args.address, options.filters(args), args.retry, args.same_code,
        args.drop,
    )  # fmt: skip
    if args.measure and not args.dry_run:
        raise InputError("--measure is of --dry-run, which estimates and runs nothing. Give both, or leave it out.")
    if args.dry_run:
        from common.studies.estimate import describe

        print(describe(Study(definition, output, chosen), args.measure))
        return 0
    study, done = run_study(definition, output, chosen)
    states = Counter(study.directory.state(point) for point in study.directory.points())
    print(", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    print(study.directory.path)
    if not done:
        print("The study was interrupted; the same command continues it.")
    return int(not done or any(states[state] for state in ("failed", "timeout", "memory", "interrupted")))
