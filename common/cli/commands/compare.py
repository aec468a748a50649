"""``twinlora compare``: two runs side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("compare", help="lay two runs side by side on one HTML page", allow_abbrev=False)
    parser.add_argument("run_a", metavar="RUN_A", type=Path, help="a run directory, runs/NAME/BACKEND")
    parser.add_argument("run_b", metavar="RUN_B", type=Path, help="another one")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, default=Path("compare.html"), help="default: compare.html"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the page and print its path."""
    from common.report import compare_runs

    print(compare_runs(args.run_a, args.run_b, args.output))
