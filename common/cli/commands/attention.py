"""``twinlora attention``: what each token that an encoder-decoder writes attended to, or the words and sentences of a
document that a classifier did."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common.cli import options
from common.errors import InputError
from common.language import translated
from common.reading import decoded, plain_problem
from common.terminal import json_line, printable_line

if TYPE_CHECKING:
    from common.backend import Engine
    from common.training.assembly import Trained

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "How much every token that an encoder-decoder writes attends to every token that it read, or how much a "
        "network that reads documents attends to sentences and words: as a page, or as numbers."
    )
    parser = subparsers.add_parser(
        "attention", help="what a network attends to in a text that it reads", description=text, allow_abbrev=False
    )
    options.add_run(parser)
    options.add_backend(parser, required=False)
    parser.add_argument("--source", metavar="TEXT", required=True, help="what is read; - takes standard input")
    parser.add_argument(
        "--target", metavar="TEXT", help="what an encoder-decoder writes; default: what the model writes"
    )
    parser.add_argument(
        "--html", metavar="FILE", type=Path, help="write a page: heat maps of layers and heads, or the shaded text"
    )
    parser.add_argument("--json", action="store_true", help="print tokens and weights of every layer and head")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print, for every written token, the one that it attended to most; or everything."""
    from common.data.sentences import reads_sentences
    from common.generation.attention import attention_of
    from common.report.attention import attention_page
    from common.training.assembly import load_engine

    trained = options.trained(args)
    source = args.source
    if source == "-":
        source = decoded(sys.stdin.buffer.read(), "standard input", "what is read", "Correct it.")
    if problem := plain_problem([source, args.target]):
        raise InputError(f"What is read and written must be text: {problem}. Correct it.")
    engine = load_engine(trained, args.backend, args.device)
    if reads_sentences(trained.spec.schema):
        return _document(args, trained, engine, source)
    found = attention_of(trained, engine, source, args.target)
    if args.html is not None:
        print(attention_page(found, f"Attention of {trained.config.name}", args.html))
    if args.json:
        print(json_line(found.record()))
    elif args.html is None:
        for token, weights in zip(found.target, found.mean(), strict=True):
            most = int(weights.argmax())
            print(f"{printable_line(token)}\t{printable_line(found.source[most])}\t{weights[most]:.3f}")


def _document(args: argparse.Namespace, trained: Trained, engine: Engine, text: str) -> None:
    """Print every sentence's weight and the word in it with the largest; or everything."""
    from common.report.document import document_page
    from common.training.documents import read_document

    if args.target is not None:
        raise InputError("--target is of an encoder-decoder; this run reads documents and writes none. Leave it out.")
    found = read_document(trained, engine, text)
    if args.html is not None:
        title = translated("Attention of {name}", name=trained.config.name)
        print(document_page(found, title, args.html))
    if args.json:
        print(json_line(found.record()))
    elif args.html is None:
        for sentence in found.sentences:
            most = max(sentence.words, key=lambda word: word.weight)
            words = "".join(word.text for word in sentence.words).strip()
            print(f"{sentence.weight:.3f}\t{printable_line(most.text.strip())}\t{printable_line(words)}")
