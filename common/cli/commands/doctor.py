"""``twinlora doctor``: what is installed and reachable here, and what would run where."""

from __future__ import annotations

import argparse

__all__ = ["add_parser", "run"]

_MARKS = {"ok": "ok", "absent": "-", "fault": "FAULT"}


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "Say which versions are installed, on which device each backend would compute, whether the hub answers, and what "
        "to do where something is missing. Each framework is tried in a process of its own."
    )
    parser = subparsers.add_parser("doctor", help="say what works here", description=text, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="one JSON object for each line")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the findings; exit code 1 where one is a fault, or no backend works."""
    import json

    from common.doctor import FAULT, OK, examine
    from common.language import ENGLISH, current, speaking, term, translated
    from common.terminal import printable_line

    with speaking(ENGLISH if args.json else current()):  # programs read JSON
        findings = examine()
    part = ""
    for one in findings:
        if args.json:
            print(json.dumps(one.plain(), ensure_ascii=False))
            continue
        if one.part != part:
            print(term(part := one.part))
        print(printable_line(f"  {_MARKS[one.state]:<6} {one.name:<18} {one.text}"))
        if one.advice:
            print(printable_line(f"  {'':<6} {'':<18} {one.advice}"))
    working = [one for one in findings if one.part == "backends" and one.state == OK]
    if not working and not args.json:
        print(
            translated(
                "No backend works: nothing can be trained here. `twinlora inspect`, `init` and `memory` need none."
            )
        )
    return int(not working or any(one.state == FAULT for one in findings))
