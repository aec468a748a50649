"""``twinlora demo``: the whole thing in a few minutes, without any download."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "demo", help="adapt a small GPT-2 in both frameworks and show the result", allow_abbrev=False
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("runs/demo"), help="default: runs/demo"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Run the demonstration and print the path of its page last."""
    from common.demo import run_demo

    print(run_demo(args.output))
