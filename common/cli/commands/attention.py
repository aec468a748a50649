"""``twinlora attention``: what each token that an encoder-decoder writes attended to."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.cli import options
from common.terminal import json_line, printable_line

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = "How much every token that an encoder-decoder writes attends to every token that it read: as a page, or as numbers."
    parser = subparsers.add_parser(
        "attention", help="the attention between a source and its target", description=text, allow_abbrev=False
    )
    options.add_run(parser)
    options.add_backend(parser, required=False)
    parser.add_argument("--source", metavar="TEXT", required=True, help="what is read")
    parser.add_argument("--target", metavar="TEXT", help="what is written; default: what the model writes")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with heat maps of layers and heads")
    parser.add_argument("--json", action="store_true", help="print tokens and weights of every layer and head")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print, for every written token, the one that it attended to most; or everything."""
    from common.generation.attention import attention_of
    from common.report.attention import attention_page
    from common.training.assembly import load_engine

    trained = options.trained(args)
    engine = load_engine(trained, args.backend, args.device)
    found = attention_of(trained, engine, args.source, args.target)
    if args.html is not None:
        print(attention_page(found, f"Attention of {trained.config.name}", args.html))
    if args.json:
        print(json_line(found.record()))
    elif args.html is None:
        for token, weights in zip(found.target, found.mean(), strict=True):
            most = int(weights.argmax())
            print(f"{printable_line(token)}\t{printable_line(found.source[most])}\t{weights[most]:.3f}")
