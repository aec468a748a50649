"""``twinlora study work``: run single points of a planned study, as a task of a cluster does."""

from __future__ import annotations

import argparse

from common.studies import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the subcommand."""
    text = "run single points of a planned study, one after the other; several of these may run at the same time"
    parser = subparsers.add_parser("work", help=text, description=text, allow_abbrev=False)
    options.add_directory(parser)
    parser.add_argument("runs", metavar="ID", nargs="+", help="as `study status` lists them")
    parser.add_argument("--device", help="cpu, cuda, ascend, ...; default: the first accelerator, or the CPU")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run what has not come to its end; exit code 1 where a run did not finish."""
    from common.studies.working import work

    return int(not work(options.directory(args), args.runs, args.device))
