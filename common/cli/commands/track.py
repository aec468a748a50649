"""``twinlora track``: give a run that is there to an experiment tracker."""

from __future__ import annotations

import argparse
import sys

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "track", help="give a run to TensorBoard, W&B, MLflow or SwanLab", allow_abbrev=False
    )
    options.add_run(parser)
    parser.add_argument(
        "--to",
        metavar="TRACKER",
        action="append",
        required=True,
        help="tensorboard, wandb, mlflow or swanlab; may be repeated",
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Feed the trackers with the events of the run's log, and its summary."""
    from common.terminal import printable
    from common.trackers.feeding import replay

    replay(args.run_directory, args.to, lambda text: print(printable(text), file=sys.stderr))
