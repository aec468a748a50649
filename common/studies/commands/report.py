"""``twinlora study report``: tables, drawings and a page of a study, from its directory alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.studies import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the subcommand."""
    parser = subparsers.add_parser("report", help="write tables and a page of what a study found", allow_abbrev=False)
    options.add_directory(parser)
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="default: STUDY/report")
    parser.add_argument(
        "--memory", action="store_true", help="account for the memory of the runs first, and keep that in the study"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the report and print the path of its page."""
    from common.report.study.memory import account_for
    from common.report.study.records import read_study
    from common.report.study.write import write_report

    path = options.directory(args).path
    if args.memory:
        account_for(read_study(path))
    print(write_report(path, args.output))
