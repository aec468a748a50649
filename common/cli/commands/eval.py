"""``twinlora eval``: score a trained run."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.cli import options

if TYPE_CHECKING:
    from common.backend import Engine
    from common.generation import GenerationOptions
    from common.training.assembly import Trained

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("eval", help="score the best state of a run on a split", allow_abbrev=False)
    options.add_opened(parser, models=True)
    options.add_backend(parser, required=False)
    parser.add_argument("--split", default="test", help="train, validation or test; default: test")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of the data set; default: where the run found it")
    parser.add_argument(
        "--stride",
        metavar="N",
        type=int,
        help="of packed text: also perplexity per token and per word, with a window that moves by N tokens",
    )
    parser.add_argument(
        "--outputs",
        metavar="FILE",
        type=Path,
        help="of prompts and texts: also write a text for every input to FILE, and score them against the references",
    )
    parser.add_argument("--metrics", metavar="NAMES", help="of --outputs: see `twinlora score`")
    options.add_generation(parser)
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the metrics as one JSON object."""
    from common.errors import InputError
    from common.exporting.runtime import engine_of
    from common.training.adapters import is_adapter
    from common.training.evaluation import score
    from common.training.folders import is_model_folder

    for kind, is_one in (("An adapter", is_adapter), ("A model", is_model_folder)):
        if args.config is None and is_one(args.run_directory):
            raise InputError(f"{kind} folder does not say what it is scored on. Give an experiment: --config CONFIG.")
    if args.metrics and not args.outputs:
        raise InputError("--metrics are those of generated texts. Give a file for them: --outputs FILE.")
    chosen = options.generation(args)
    if chosen.given and not args.outputs:
        raise InputError(
            f"{', '.join(chosen.given)}: belongs to --outputs, whose texts are generated. Give --outputs FILE, or leave it out."
        )
    trained = options.trained(args, exported=True)
    engine = engine_of(trained, args.backend, args.device)
    found: dict[str, Any] = dict(score(trained, engine, args.split, args.data_dir))
    if args.stride is not None:
        from common.training.perplexity import corpus_perplexity

        found |= corpus_perplexity(trained, engine, args.split, args.stride, args.data_dir)
    if args.outputs is not None:
        found["texts"] = _scored_texts(args, trained, engine, chosen)
    print(json.dumps(found))


def _scored_texts(
    args: argparse.Namespace, trained: Trained, engine: Engine, chosen: GenerationOptions
) -> dict[str, Any]:
    """Write a text for every input; the metrics of all."""
    from common.generation.outputs import write_outputs
    from common.generation.splits import generate_split, inputs_of
    from common.metrics.text.scoring import chosen_metrics, score_texts

    names = [name.strip() for name in args.metrics.split(",")] if args.metrics else []
    chosen_metrics(names)  # refuses what is not there before anything is generated
    inputs = inputs_of(trained, args.split, args.data_dir)
    records = list(generate_split(trained, engine, inputs, chosen))
    write_outputs(args.outputs, records)
    scores = score_texts([[record["text"] for record in records]], list(inputs.values()), names)
    return {name: dataclasses.asdict(value) for name, value in scores.systems[0].items()}
