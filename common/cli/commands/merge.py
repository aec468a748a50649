"""``twinlora merge``: fold a run's adapter into its base model."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("merge", help="write a run as a plain Hugging Face checkpoint", allow_abbrev=False)
    options.add_run(parser)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to be made")
    return parser


def run(args: argparse.Namespace) -> None:
    """Write config.json, model.safetensors and the tokenizer; needs no framework."""
    from common.errors import InputError
    from common.methods.merge import merge_arrays
    from common.models.checkpoint import save_pretrained

    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise InputError(
            f"The checkpoint needs a new or empty folder; {args.out} is there already. Choose another one, or remove it."
        )
    trained = options.trained(args)
    arrays, errors = merge_arrays(trained.plan, trained.spec, trained.arrays)
    save_pretrained(args.out, trained.spec, arrays)
    trained.tokenizer.save_pretrained(args.out)
    if errors:
        print(f"merged {len(errors)} modules; largest relative rounding error of a weight {max(errors.values()):.1e}")
    print(args.out)
