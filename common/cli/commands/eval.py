"""``twinlora eval``: score a trained run."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("eval", help="score the best state of a run on a split", allow_abbrev=False)
    options.add_run(parser)
    options.add_backend(parser, required=False)
    parser.add_argument("--split", default="test", help="train, validation or test; default: test")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of the data set; default: where the run found it")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the metrics as one JSON object."""
    from common.data import encode, load_dataset
    from common.errors import InputError
    from common.training.assembly import load_engine
    from common.training.evaluation import evaluate

    trained = options.trained(args)
    config = trained.config
    directory = str(Path(args.data_dir).expanduser().resolve()) if args.data_dir else config.data.directory
    section = dataclasses.replace(config.data, directory=directory)
    data = load_dataset(section, trained.task)
    if args.split in data.unlabelled:
        raise InputError(
            f"The labels of the {args.split} split of {section.name} were not published, so it cannot be scored. Use --split validation."
        )
    if trained.labels != data.label_names:
        raise InputError(
            f"The run was trained on the labels {trained.labels}, but this data set has {data.label_names}. Give the data it was trained on."
        )
    encoded = encode(data, args.split, trained.tokenizer, section, trained.task, trained.spec.schema)
    engine = load_engine(trained, args.backend, args.device)
    size, multiple = config.training.evaluation_batch_size, section.length_multiple
    print(json.dumps(evaluate(engine, encoded, size, multiple)))
