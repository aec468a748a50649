"""``twinlora eval``: score a trained run."""

from __future__ import annotations

import argparse
import json

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("eval", help="score the best state of a run on a split", allow_abbrev=False)
    options.add_opened(parser)
    options.add_backend(parser, required=False)
    parser.add_argument("--split", default="test", help="train, validation or test; default: test")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of the data set; default: where the run found it")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the metrics as one JSON object."""
    from common.errors import InputError
    from common.training.adapters import is_adapter
    from common.training.assembly import load_engine
    from common.training.evaluation import score

    if is_adapter(args.run_directory) and args.config is None:
        raise InputError("An adapter folder does not say what it is scored on. Give an experiment: --config CONFIG.")
    trained = options.trained(args)
    engine = load_engine(trained, args.backend, args.device)
    print(json.dumps(score(trained, engine, args.split, args.data_dir)))
