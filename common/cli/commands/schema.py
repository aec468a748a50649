"""``twinlora schema``: the experiment file as a JSON schema, for editors."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "Write the JSON schema of experiment files, of this version and with the members of TWINLORA_PLUGINS. An editor "
        "with a YAML language server completes and checks a file whose first line is `# yaml-language-server: $schema=FILE`."
    )
    parser = subparsers.add_parser(
        "schema", help="write the JSON schema of experiment files", description=text, allow_abbrev=False
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: standard output")
    return parser


def run(args: argparse.Namespace) -> None:
    """Write it."""
    import json

    from common.config.json_schema import experiment_schema
    from common.files import write_json

    if args.output is None:
        print(json.dumps(experiment_schema(), indent=1, ensure_ascii=False))
    else:
        write_json(args.output, experiment_schema())
