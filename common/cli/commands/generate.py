"""``twinlora generate``: continue prompts with a causal language model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.cli import options
from common.errors import InputError
from common.reading import decoded, numbered_lines, read_json_lines
from common.terminal import json_line, printable, printable_line

if TYPE_CHECKING:
    from common.generation import Generated, GenerationOptions
    from common.training.assembly import Trained

__all__ = ["add_parser", "run"]

_REMEDY = 'Each line is an object such as {"prompt": ...}; correct it.'


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "Continue prompts with a causal language model. Without --prompt and --file, prompts are the lines of standard input, each of which is answered before the next is read."  # noqa: E501
    parser = subparsers.add_parser("generate", help="continue prompts", description=text, allow_abbrev=False)
    options.add_run(parser)
    options.add_backend(parser, required=False)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--prompt", metavar="TEXT", action="append", help="may be repeated")
    source.add_argument(
        "--file", metavar="FILE", type=Path, help='JSON objects, one a line: {"prompt": ...} or {"messages": [...]}'
    )
    source.add_argument(
        "--split", metavar="SPLIT", help="the prompts of a split of the run's data, with their references"
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", help="of --split: folder of the data set; default: that of the run"
    )
    parser.add_argument("--limit", metavar="N", type=int, help="of --split: the first N prompts alone")
    parser.add_argument("--output", metavar="FILE", type=Path, help="of --split: write JSON objects there, one a line")
    parser.add_argument("--json", action="store_true", help="one JSON object for each text, with its tokens")
    parser.add_argument("--batch-size", metavar="N", type=int, help="prompts that are continued together")
    parser.add_argument(
        "--num-return-sequences", dest="num_return_sequences", metavar="N", type=int, help="texts for each prompt"
    )
    options.add_generation(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print every text; a single one while it is written."""
    from common.exporting.runtime import engine_of
    from common.generation import generate

    chosen = options.generation(args)
    if args.batch_size is not None and args.batch_size < 1:
        raise InputError(f"--batch-size must be at least 1; received {args.batch_size}.")
    _check_split(args)
    groups = [] if args.split else _groups(args)
    trained = options.trained(args, exported=True)
    if args.split:
        return _run_split(args, trained, chosen)
    engine = engine_of(trained, args.backend, args.device)
    for prompts in groups:
        streams = not args.json and len(prompts) == chosen.num_return_sequences == chosen.num_beams == 1
        emit = _write if streams else None
        for texts in generate(trained, engine, prompts, chosen, emit, args.batch_size):
            _show(texts, args.json, streams, several=len(prompts) * len(texts) > 1)
    return 0


def _check_split(args: argparse.Namespace) -> None:
    given = [
        f"--{name.replace('_', '-')}" for name in ("data_dir", "limit", "output") if getattr(args, name) is not None
    ]
    if given and not args.split:
        raise InputError(f"{', '.join(given)}: belongs to --split. Give --split SPLIT, or leave it out.")
    if args.limit is not None and args.limit < 1:
        raise InputError(f"--limit must be at least 1; received {args.limit}.")


def _run_split(args: argparse.Namespace, trained: Trained, chosen: GenerationOptions) -> int:
    """Write a record for every input of the split."""
    from common.exporting.runtime import engine_of
    from common.generation.outputs import write_outputs
    from common.generation.splits import generate_split, inputs_of

    inputs = inputs_of(trained, args.split, args.data_dir, args.limit)
    engine = engine_of(trained, args.backend, args.device)
    records = generate_split(trained, engine, inputs, chosen, args.batch_size)
    if args.output is not None:
        write_outputs(args.output, list(records))
        print(args.output)
        return 0
    for record in records:
        print(json_line(record) if args.json else printable_line(record["text"]), flush=True)
    return 0


def _groups(args: argparse.Namespace) -> Iterator[Sequence[Any]] | list[list[Any]]:
    """The prompts, in groups that are answered together."""
    if args.prompt is not None:
        return [args.prompt]
    if args.file is not None:
        return [_read(args.file)]
    return ([_line(number, line)] for number, line in numbered_lines(sys.stdin.buffer))


def _line(number: int, line: bytes) -> str:
    return decoded(line, f"standard input, line {number}", "a prompt", "Correct it.").rstrip("\r\n")


def _read(path: Path) -> list[Any]:
    """The prompts of a file.

    Raises:
        InputError: it cannot be read, or a line holds no prompt.
    """
    prompts = []
    for place, found in read_json_lines(path, "a file of prompts", _REMEDY):
        prompt = found.get("prompt", found.get("messages")) if isinstance(found, dict) else None
        if not isinstance(prompt, str if isinstance(found, dict) and "prompt" in found else list):
            raise InputError(
                f'{place}: an object with a text "prompt", or with a list "messages", was expected; received '
                f"{ascii(found)[:80]}."
            )
        prompts.append(prompt)
    if not prompts:
        raise InputError(f"{path}: at least one prompt was expected; the file has none.")
    return prompts


def _write(prompt: int, sample: int, text: str) -> None:
    print(printable(text), end="", flush=True)


def _show(texts: Sequence[Generated], as_json: bool, streamed: bool, several: bool) -> None:
    """Several texts each under their prompt."""
    for text in texts:
        if as_json:
            print(json_line(text.record()), flush=True)
        elif streamed:
            print(flush=True)
        else:
            if several:
                print(f"> {printable_line(text.prompt)}")
            print(printable(text.text), flush=True)
