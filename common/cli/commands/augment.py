"""``twinlora augment``: a data set with changed copies of its training texts."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "Write the data set of an experiment with changed copies of its training texts: words masked, exchanged for "
        "others of "
        "the same part of speech, a few in a row masked. The folder holds experiment.yaml, which trains on it."
    )
    parser = subparsers.add_parser(
        "augment", help="write a data set with changed copies of its texts", description=text, allow_abbrev=False
    )
    options.add_experiment(parser)
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="folder to be made")
    parser.add_argument("--copies", metavar="N", type=int, default=20, help="changed copies of every text; default: 20")
    numbers = (
        ("--mask", 0.1, "probability of a word to be masked"),
        ("--same", 0.1, "or to be exchanged for one of the same part of speech"),
        ("--most", 0.5, "share of the words of a text that are masked or exchanged at most"),
        ("--row", 0.25, "probability of a text that words in a row are masked as well"),
    )
    for name, default, what in numbers:
        parser.add_argument(name, metavar="P", type=float, default=default, help=f"{what}; default: {default}")
    parser.add_argument("--longest", metavar="N", type=int, default=5, help="words of such a row at most; default: 5")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="equal seeds give equal files; default: 0")
    parser.add_argument(
        "--mask-token", metavar="WORD", default="[MASK]", help="what stands for a masked word; default: [MASK]"
    )
    parser.add_argument(
        "--tagger", metavar="RUN", help="a run that tags words; default: a plain rule for English parts of speech"
    )
    parser.add_argument("--backend", metavar="BACKEND", help="of the tagger; default: that of its run")
    parser.add_argument("--device", help="of the tagger")
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the folder, and say what was changed."""
    from common.augmentation.augment import augment
    from common.augmentation.tagging import by_rule, by_run
    from common.augmentation.words import Augmentation
    from common.errors import InputError

    if args.tagger is None and (args.backend or args.device):
        raise InputError("--backend and --device are those of a tagger; name one with --tagger, or leave them out.")
    tagger = by_rule if args.tagger is None else by_run(args.tagger, args.backend, args.device)
    how = Augmentation(args.mask, args.same, args.most, args.row, args.longest, args.copies)
    record = augment(options.experiment(args), args.output, how, args.seed, args.mask_token, tagger)
    changes = record["changes"]
    print(
        f"{record['rows']} texts, {record['added']} changed copies; {record['left_out_as_equal']} equal ones left out"
    )
    print(
        f"of {changes['words']} words {changes['masked']} masked, {changes['exchanged']} exchanged, "
        f"{changes['in_runs']} masked in {changes['runs']} rows"
    )
    print(args.output)
