"""``twinlora study``: many runs of one definition. Every module in ``common.studies.commands`` is one subcommand."""

from __future__ import annotations

import argparse
import importlib
import pkgutil

from common.studies import commands

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command with every subcommand that is found."""
    text = "plan, run, continue and report many runs of one definition; see docs/studies.md"
    parser = subparsers.add_parser("study", help=text, description=text, allow_abbrev=False)
    inner = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", dest="subcommand", required=True)
    for found in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"{commands.__name__}.{found.name}")
        module.add_parser(inner).set_defaults(subcommand_run=module.run)
    return parser


def run(args: argparse.Namespace) -> int | None:
    """Run the subcommand."""
    code: int | None = args.subcommand_run(args)
    return code
