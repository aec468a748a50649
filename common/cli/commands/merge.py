"""``twinlora merge``: fold a run's adapter into its base model."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("merge", help="write a run as one model folder", allow_abbrev=False)
    options.add_opened(parser)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to be made")
    parser.add_argument(
        "--dense",
        action="store_true",
        help="multiply out what a transform factored, so that transformers loads the folder",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="round the weights to it; without it nothing is rounded: the checkpoint's dtype where it loses nothing, else float32",
    )
    parser.add_argument(
        "--shard-size", default="5GB", metavar="SIZE", help="of a file of weights, above which there are several (5GB)"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Write config.json, model.safetensors, the tokenizer and a card; needs no framework.

    A model that a transform changed keeps its structure, with the updates taken in, unless ``--dense`` is given.
    """
    from common.files import refuse_existing
    from common.training.merging import write_merged

    refuse_existing(args.out)
    errors = write_merged(options.trained(args), args.out, args.dense, args.dtype, args.shard_size)
    if errors:
        print(f"merged {len(errors)} modules; largest relative rounding error of a weight {max(errors.values()):.1e}")
    print(args.out)
