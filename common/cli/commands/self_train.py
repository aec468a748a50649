"""``twinlora self-train``: pseudo labels of texts without labels, round after round."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "Train on the labels of an experiment, label further texts with the result, and train again on both, as often "
        "as wanted. The same command continues it."
    )
    parser = subparsers.add_parser(
        "self-train", help="train on labels and on pseudo labels", description=text, allow_abbrev=False
    )
    options.add_experiment(parser)
    options.add_backend(parser, required=True)
    parser.add_argument(
        "--unlabelled", metavar="FILE", required=True, help="texts without labels: .txt, .csv, .jsonl, ..."
    )
    parser.add_argument("--rounds", metavar="N", type=int, default=1, help="trainings with pseudo labels; default: 1")
    parser.add_argument(
        "--entropy", metavar="BITS", type=float, default=0.3, help="texts more uncertain are left out; default: 0.3"
    )
    parser.add_argument(
        "--labels",
        choices=("hard", "soft"),
        default="hard",
        help="the most probable class, or the probabilities of all; default: hard",
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path("runs"), help="a folder NAME is made there; default: runs"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Train every round, then print their scores."""
    from common.training.self_training import SelfTraining, self_train

    how = SelfTraining(args.rounds, args.entropy, args.labels)
    config = options.experiment(args)
    record = self_train(config, args.backend, args.unlabelled, how, args.device, args.output)
    for number, found in enumerate(record["rounds"]):
        scores = "  ".join(f"{name} {value:.4f}" for name, value in found["validation"].items())
        print(f"round {number}  pseudo labels {found['pseudo_labels']}  {scores}")
    print(args.output / config.name)
