"""``twinlora predict``: label or continue the texts on standard input, one a line."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator

from common.cli import options
from common.errors import InputError
from common.terminal import json_line, printable

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("predict", help="label or continue the lines of standard input", allow_abbrev=False)
    options.add_opened(parser)
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
    generation = parser.add_argument_group("language models")
    generation.add_argument("--max-new-tokens", type=int, default=64, metavar="N", help="default: 64")
    generation.add_argument(
        "--temperature", type=float, default=0.0, help="0 (default) takes the most probable token, otherwise samples"
    )
    generation.add_argument("--seed", type=int, default=0, help="of the sampling")
    generation.add_argument(
        "--slide", action="store_true", help="of a prompt longer than the context read the end, instead of refusing it"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Print one line for each line of input; 1 where one could not be answered."""
    from common.training.assembly import load_engine
    from common.training.generation import Sampling
    from common.training.prediction import answer_lines

    trained = options.trained(args)
    sampling = {"max_new_tokens": args.max_new_tokens, "temperature": args.temperature, "seed": args.seed}
    sampling["slide"] = args.slide
    Sampling(**sampling)  # refuses what does not fit before the model is loaded
    engine = load_engine(trained, args.backend, args.device)
    failed = 0
    for lines in _batches(trained.config.training.evaluation_batch_size):
        for number, answer in answer_lines(trained, engine, lines, sampling, args.jsonl):
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
    numbered = enumerate(iter(sys.stdin.buffer.readline, b""), 1)
    while group := list(itertools.islice(numbered, 1 if sys.stdin.isatty() else size)):
        yield group
