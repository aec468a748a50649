"""``twinlora memory``: where the memory of a training step would go, before anything is trained."""

from __future__ import annotations

import argparse
import json
import sys

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "memory", help="account for the memory of a training step, without training", allow_abbrev=False
    )
    options.add_experiment(parser)
    parser.add_argument("--batch", metavar="N", type=int, help="sequences at once; default: those of the configuration")
    parser.add_argument("--length", metavar="N", type=int, help="tokens of each; default: data.max_length")
    parser.add_argument("--backend", default="pytorch", help="pytorch (the default) or mindspore")
    parser.add_argument("--dtype", help="short for --set training.dtype=DTYPE")
    parser.add_argument("--recompute", action="store_true", help="short for --set training.recompute=true")
    parser.add_argument("--peer", action="store_true", help="also account for transformers with PEFT, eager attention")
    parser.add_argument("--json", action="store_true", help="print the account as JSON")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the account.

    Raises:
        InputError: the configuration is wrong or has no account.
    """
    from common import backend as backends
    from common.memory import take
    from common.memory.peer import of_peft
    from common.memory.text import table
    from common.models.checkpoint import locate

    if args.dtype:
        args.set.append(f"training.dtype={args.dtype}")
    if args.recompute:
        args.set.append("training.recompute=true")
    config = options.experiment(args)
    if config.model.source:
        locate(config.model.source)  # before a framework is imported, which takes seconds
    training = config.training
    rows = args.batch or training.micro_batch_size or training.global_batch_size
    length = args.length or config.data.max_length
    accounts = [take(backends.load(args.backend), config, rows, length)]
    if args.peer:
        accounts.append(of_peft(config, rows, length))
    if args.json:
        json.dump([account.plain() for account in accounts], sys.stdout, indent=2)
        print()
        return
    print("\n\n".join(map(table, accounts)))
