"""``twinlora combine``: several LoRA adapters of one base model as one new adapter."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "combine", help="write the weighted combination of LoRA adapters as one adapter", allow_abbrev=False
    )
    parser.add_argument(
        "adapters", metavar="ADAPTER", nargs="+", type=Path, help="a run directory, or a folder with an adapter of PEFT"
    )
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="folder to be made")
    parser.add_argument(
        "--method",
        metavar="METHOD",
        default="cat",
        help="linear, cat, svd, ties, dare_linear, dare_ties, magnitude_prune; the last four also with _svd behind; "
        "default: cat, which is exact",
    )
    parser.add_argument(
        "--weights", metavar="W", nargs="+", type=float, help="one for each adapter; default: 1 / their number"
    )
    parser.add_argument("--density", metavar="P", type=float, help="of ties, dare and magnitude_prune: entries kept")
    parser.add_argument("--rank", metavar="N", type=int, help="of svd; default: the largest of the adapters")
    parser.add_argument(
        "--majority", metavar="HOW", default="total", help="of ties: total or frequency; default: total"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of dare; default: 0")
    parser.add_argument("--head", metavar="N", type=int, help="keep the head of adapter N, where they differ")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the ranks and the folder; needs no framework."""
    from collections import Counter

    from common.artifacts.combining import combine_folders
    from common.methods.combining import Combination

    count = len(args.adapters)
    weights = tuple(args.weights) if args.weights else (1.0 / count,) * count
    combination = Combination(args.method, weights, args.density, args.rank, args.majority, args.seed)
    ranks = combine_folders(args.adapters, args.output, combination, args.head)
    listed = ", ".join(f"{modules} of rank {rank}" for rank, modules in sorted(Counter(ranks.values()).items()))
    print(f"combined {count} adapters by {args.method}: modules {listed}")
    print(args.output)
