"""``twinlora report``: draw the page of a run again."""

from __future__ import annotations

import argparse

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("report", help="write report.html of a finished run again", allow_abbrev=False)
    options.add_run(parser)
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the page and print its path."""
    from common.report import run_page

    print(run_page(args.run_directory))
