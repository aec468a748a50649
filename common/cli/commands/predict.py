"""``twinlora predict``: label or continue the texts on standard input, one a line."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Iterator

from common.cli import options
from common.errors import InputError
from common.reading import numbered_lines
from common.terminal import json_line, printable

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("predict", help="label or continue the lines of standard input", allow_abbrev=False)
    options.add_opened(parser, models=True)
    options.add_backend(parser, required=False)
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line, with the probability of every label"
    )
    parser.add_argument(
        "--jsonl",
        action="store_true",
        help='read one JSON object a line, such as {"text": ..., "text_pair": ...}, instead of text',
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="stop at a line that cannot be read, instead of reporting it and leaving its line of output empty",
    )
    options.add_generation(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print one line for each line of input; 1 where one could not be answered."""
    from common.exporting.runtime import engine_of
    from common.training.prediction import answer_lines

    chosen = options.generation(args)  # refuses what does not fit before the model is loaded
    trained = options.trained(args, exported=True)
    if chosen.given and not trained.task.writes:
        raise InputError(
            f"{', '.join(chosen.given)}: belongs to models that write texts; this one was trained for {trained.task.name}. "
            "Leave it out."
        )
    given = {field.name: getattr(chosen, field.name) for field in dataclasses.fields(chosen)}
    engine = engine_of(trained, args.backend, args.device)
    failed = 0
    for lines in _batches(trained.config.training.evaluation_batch_size):
        for number, answer in answer_lines(trained, engine, lines, given, args.jsonl):
            if isinstance(answer, InputError):
                if args.strict:
                    raise answer
                failed += 1
                print(f"error: {printable(str(answer))}", file=sys.stderr)
                print(json_line({"line": number, "error": str(answer)}) if args.json else "", flush=True)
            else:
                print(json_line(dict(answer.full)) if args.json else _one_line(answer.plain), flush=True)
    return int(failed > 0)


def _one_line(text: str) -> str:
    """One line whatever the text holds; tabs stay, since they stand between a label and its probability."""
    return printable(text).replace("\n", "\\n")


def _batches(size: int) -> Iterator[list[tuple[int, bytes]]]:
    """Numbered lines of standard input in groups; what is typed on a terminal is answered line by line."""
    numbered = numbered_lines(sys.stdin.buffer)
    while group := list(itertools.islice(numbered, 1 if sys.stdin.isatty() else size)):
        yield group
