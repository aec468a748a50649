"""``twinlora study status``: where a study stands."""

from __future__ import annotations

import argparse
import json
from collections import Counter

from common.studies import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the subcommand."""
    parser = subparsers.add_parser("status", help="say where a study stands", allow_abbrev=False)
    options.add_directory(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object for each run")
    return parser


def run(args: argparse.Namespace) -> None:
    """One line for each run, and the counts; reads only, so that a running study may be asked."""
    from common.studies.status import state_of
    from common.terminal import printable_line

    directory = options.directory(args)
    states: Counter[str] = Counter()
    for point in directory.points():
        found = state_of(directory, point)
        states[found["state"]] += 1
        if args.json:
            print(json.dumps(found))
            continue
        label = " ".join(f"{axis.rpartition('.')[2]}={value}" for axis, value in point["label"].items())
        steps = f"{found['step']}/{point['steps']}"
        why = f"  {found['error']}" if found["error"] else ""
        text = f"{point['id']}  {found['state']:<11}  {steps:>13}  {label} seed={point['seed']} {point['backend']}{why}"
        print(printable_line(text))
    if not args.json:
        print(", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no runs yet")
