"""``twinlora predict``: label or continue the texts on standard input, one a line."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from common.cli import options

if TYPE_CHECKING:
    from common.training.assembly import Trained

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("predict", help="label or continue the lines of standard input", allow_abbrev=False)
    options.add_run(parser)
    options.add_backend(parser, required=False)
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line, with the probability of every label"
    )
    generation = parser.add_argument_group("language models")
    generation.add_argument("--max-new-tokens", type=int, default=64, metavar="N", help="default: 64")
    generation.add_argument(
        "--temperature", type=float, default=0.0, help="0 (default) takes the most probable token, otherwise samples"
    )
    generation.add_argument("--seed", type=int, default=0, help="of the sampling")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print one line for each line of input: label TAB probability, or the continuation."""
    from common.training.assembly import load_engine
    from common.training.generation import Sampling

    trained = options.trained(args)
    sampling = Sampling(args.max_new_tokens, args.temperature, args.seed)
    engine = load_engine(trained, args.backend, args.device)
    for batch in _batches(trained.config.training.evaluation_batch_size):
        results = (
            _labels(trained, engine, batch) if trained.labels else _continuations(trained, engine, batch, sampling)
        )
        for plain, full in results:
            print(json.dumps(full, ensure_ascii=False) if args.json else plain, flush=True)


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


def _labels(trained: Trained, engine: Any, texts: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    import numpy as np

    from common.training.prediction import probabilities

    for text, row in zip(texts, probabilities(trained, engine, texts), strict=True):
        best = int(np.argmax(row))
        scores = {label: round(float(p), 6) for label, p in zip(trained.labels, row, strict=True)}
        yield (
            f"{trained.labels[best]}\t{row[best]:.4f}",
            {"text": text, "label": trained.labels[best], "probabilities": scores},
        )


def _continuations(
    trained: Trained, engine: Any, prompts: list[str], sampling: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    from common.training.prediction import continuations

    for prompt, continuation in zip(prompts, continuations(trained, engine, prompts, sampling), strict=True):
        yield continuation, {"prompt": prompt, "continuation": continuation}
