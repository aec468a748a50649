"""``twinlora predict``: label or continue the texts on standard input, one a line."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from functools import partial

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("predict", help="label or continue the lines of standard input", allow_abbrev=False)
    options.add_run(parser)
    options.add_backend(parser, required=False)
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line, with the probability of every label"
    )
    parser.add_argument(
        "--jsonl",
        action="store_true",
        help='read one JSON object a line, such as {"text": ..., "text_pair": ...}, instead of text',
    )
    generation = parser.add_argument_group("language models")
    generation.add_argument("--max-new-tokens", type=int, default=64, metavar="N", help="default: 64")
    generation.add_argument(
        "--temperature", type=float, default=0.0, help="0 (default) takes the most probable token, otherwise samples"
    )
    generation.add_argument("--seed", type=int, default=0, help="of the sampling")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print one line for each line of input."""
    from common.training.assembly import load_engine
    from common.training.generation import Sampling
    from common.training.prediction import parse_object

    trained = options.trained(args)
    sampling = {"max_new_tokens": args.max_new_tokens, "temperature": args.temperature, "seed": args.seed}
    Sampling(**sampling)  # refuses what does not fit before the model is loaded
    engine = load_engine(trained, args.backend, args.device)
    parse = partial(parse_object, trained.task) if args.jsonl else lambda line, number: trained.task.parse(line)
    numbers = itertools.count(1)
    for lines in _batches(trained.config.training.evaluation_batch_size):
        rows = [parse(line, next(numbers)) for line in lines]
        for answer in trained.task.predict(trained, engine, rows, sampling):
            print(json.dumps(dict(answer.full), ensure_ascii=False) if args.json else answer.plain, flush=True)


def _batches(size: int) -> Iterator[list[str]]:
    """Lines of standard input in groups; what is typed on a terminal is answered line by line."""
    from common.errors import InputError

    sys.stdin.reconfigure(encoding="utf-8")
    lines = (line.rstrip("\r\n") for line in iter(sys.stdin.readline, ""))
    try:
        while group := list(itertools.islice(lines, 1 if sys.stdin.isatty() else size)):
            yield group
    except UnicodeDecodeError as error:
        raise InputError(f"Standard input must be UTF-8 text: {error}.") from error
