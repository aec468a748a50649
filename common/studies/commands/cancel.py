"""``twinlora study cancel``: end a running study from elsewhere."""

from __future__ import annotations

import argparse

from common.studies import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the subcommand."""
    text = "ask a running study to save the state of its runs and end; `study run` continues it"
    parser = subparsers.add_parser("cancel", help=text, description=text, allow_abbrev=False)
    options.add_directory(parser)
    return parser


def run(args: argparse.Namespace) -> None:
    """Leave the request in the study directory; the study sees it within a second."""
    from common.files import write_atomic

    directory = options.directory(args)
    directory.read_plan()
    write_atomic(directory.stop, "")
    print(f"{directory.path}: asked to end")
