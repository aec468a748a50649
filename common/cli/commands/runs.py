"""``twinlora runs``: lists, filters, sorts and compares run directories."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("runs", help="list, filter, sort and compare run directories", allow_abbrev=False)
    parser.add_argument("folders", metavar="DIR", nargs="*", type=Path, help="searched for runs; default: runs")
    parser.add_argument(
        "--where",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="method=lora, seed=1, validation.accuracy>=0.9, settings.adaptation.rank=8, ...; =, !=, <, <=, >, >= and ~ (a pattern); may be repeated",
    )
    parser.add_argument(
        "--sort", metavar="FIELD", help="ascending; with a minus before it descending: --sort=-test.accuracy"
    )
    parser.add_argument("--columns", metavar="FIELD", nargs="+", help="instead of the usual ones")
    parser.add_argument("--differ", action="store_true", help="also show every setting in which the runs differ")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the table.

    Raises:
        InputError: a folder does not exist, or a condition or field cannot be read.
    """
    from common.report.listing import ask, conditions, find, order, table

    runs = order(ask(find(args.folders or [Path("runs")]), conditions(args.where)), args.sort)
    if args.json:
        for found in runs:
            json.dump(found.plain(args.columns), sys.stdout, ensure_ascii=False)
            print()
        return
    print(table(runs, args.columns, args.differ))
