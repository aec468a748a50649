"""``twinlora train``: fine-tune a model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("train", help="fine-tune a model as a configuration says", allow_abbrev=False)
    options.add_experiment(parser)
    options.add_backend(parser, required=True)
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path("runs"), help="where run directories are made; default: runs"
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue an unfinished run from its last checkpoint, or begin it"
    )
    parser.add_argument("--overwrite", action="store_true", help="discard the run that is there")
    return parser


def run(args: argparse.Namespace) -> None:
    """Train, then say what came out and where it is."""
    from common.language import term, translated
    from common.training.run import train

    summary = train(options.experiment(args), args.backend, args.device, args.output, args.resume, args.overwrite)
    if summary is None:  # one of several processes, of which the first speaks
        return
    for when in ("before", "validation", "test"):
        if summary[when]:
            print(f"{term(when):<11}" + "  ".join(f"{name} {value:.4f}" for name, value in summary[when].items()))
    folder = args.output / summary["name"] / summary["backend"]
    print(folder)
    print(
        translated(
            "next: {page} in a browser; twinlora predict {folder} answers to lines of text",
            page=folder / "report.html",
            folder=folder,
        ),
        file=sys.stderr,
    )
