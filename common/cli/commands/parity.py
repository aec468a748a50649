"""``twinlora parity``: prove on this machine that both frameworks compute the same."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.cli import options

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command and its arguments."""
    text = "run a suite in PyTorch, in MindSpore and in float64, and compare. Exit code 0: agreement, 1: a case fails, 2: something could not be compared"
    parser = subparsers.add_parser(
        "parity", help="prove that both frameworks compute the same", description=text, allow_abbrev=False
    )
    parser.add_argument(
        "level",
        metavar="LEVEL",
        help="ops, layers, models, training, all of these, or members: every family, task and method in small",
    )
    options.add_experiment(parser, required=False)
    options.add_suite(parser)
    parser.add_argument(
        "--device", help="of MindSpore: cpu, gpu, ascend, ...; default: the first accelerator, or the CPU"
    )
    parser.add_argument(
        "--torch-device",
        metavar="DEVICE",
        help="of PyTorch: cpu, cuda, ...; default: the first accelerator, or the CPU",
    )
    parser.add_argument(
        "--draws",
        metavar="N",
        type=int,
        default=8,
        help="compute networks that differ N times in float64 with rounding at random, and take what that moves as far for rounding; default: 8, 0 for none",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="folder of traces and report; default: runs/parity/LEVEL"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Record, compare, and return the verdict as exit code."""
    from common.parity.commands import prove

    given = [args.config] if args.config else []
    for flag, value in (("--data-dir", args.data_dir), ("--model", args.model), ("--name", args.name), ("--only", args.only), ("--steps", args.steps),
                        ("--log", args.log), ("--mode", args.mode)):  # fmt: skip
        given += [flag, str(value)] if value is not None else []
    for pair in args.set:
        given += ["--set", pair]
    given += ["--plain"] if args.plain else []
    output = args.output or Path("runs/parity") / args.level
    return prove(
        args.level, given, {"mindspore": args.device, "pytorch": args.torch_device}, output, args.draws
    ).exit_code
