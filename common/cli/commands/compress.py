"""``twinlora compress``: transform a trained model into a smaller one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.compression.behaviour import Behaviour

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser("compress", help="transform a trained model into a smaller one", allow_abbrev=False)
    parser.add_argument(
        "source", metavar="RUN_OR_MODEL", help="a run directory (its best state, merged), a model folder or a hub id"
    )
    parser.add_argument("--with", dest="transform", metavar="TRANSFORM", help="such as svd")
    parser.add_argument(
        "--spectrum",
        action="store_true",
        help="instead of a transform: write a page about the singular values of every target to OUT, an HTML file",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an option of the transform, e.g. rank=64; may be repeated",
    )
    parser.add_argument(
        "--targets", metavar="PATTERN", nargs="+", help="which modules; default: every linear layer but the head"
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="to be made: a folder, or a page"
    )
    parser.add_argument("--task", help="which head a model folder has; default: that of its config.json")
    parser.add_argument(
        "--dense", action="store_true", help="multiply the result out: a plain checkpoint of the original size"
    )
    group = parser.add_argument_group("data", "For transforms that look at the model's behaviour, such as fwsvd.")
    group.add_argument(
        "--data",
        metavar="CONFIG",
        help="an experiment whose data are read; default: that of the run, which has its own",
    )
    group.add_argument("--data-dir", metavar="DIR", help="folder of the data set")
    group.add_argument(
        "--samples", metavar="N", type=int, help="examples of the training split, evenly spaced; default: 256"
    )
    group.add_argument("--backend", metavar="BACKEND", help="pytorch or mindspore; default: that of the run")
    group.add_argument("--device", help="cpu, cuda, ascend, ...; default: the first accelerator, or the CPU")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the report table and the folder; needs a framework where the model is observed on data."""
    from common.compression.compress import compress
    from common.compression.report import as_table
    from common.errors import InputError
    from common.terminal import printable

    if (args.transform is None) != args.spectrum:
        raise InputError("Give either --with TRANSFORM, for example svd, or --spectrum.")
    if args.spectrum:
        _spectrum(args)
        return
    options = _options(args.set)
    if args.targets and "targets" in options:
        raise InputError("Targets are given twice, by --targets and by --set targets=...; give them once.")
    if args.targets:
        options["targets"] = args.targets
    report = compress(args.source, args.transform, options, args.output, args.task, args.dense, _behaviour(args))
    print(printable(as_table(report)))
    print(args.output)


def _spectrum(args: argparse.Namespace) -> None:
    """Write the page and print its path.

    Raises:
        InputError: something is given that belongs to a transform.
    """
    from common.compression.spectrum import write_spectra
    from common.compression.transform import TransformOptions
    from common.errors import InputError
    from common.methods.targets import Target

    if args.set or args.dense or _behaviour(args) is not None:
        raise InputError(
            "--spectrum looks at the weights alone and changes nothing: it takes --targets, --task and -o."
        )
    options = TransformOptions(tuple(map(Target, args.targets))) if args.targets else TransformOptions()
    write_spectra(args.source, options, args.output, args.task)
    print(args.output)


def _behaviour(args: argparse.Namespace) -> Behaviour | None:
    """What the group ``data`` gives; None where nothing is given."""
    from common.compression.behaviour import SAMPLES, Behaviour

    given = (args.data, args.data_dir, args.samples, args.backend, args.device)
    if all(value is None for value in given):
        return None
    samples = SAMPLES if args.samples is None else args.samples
    return Behaviour(args.data, args.data_dir, samples, args.backend, args.device)


def _options(settings: list[str]) -> dict[str, object]:
    """``KEY=VALUE`` with YAML values.

    Raises:
        InputError: one has not this form.
    """
    from common.config.yaml_text import parse_value
    from common.errors import InputError

    found = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set must have the form KEY=VALUE, for example rank=64; received {setting!r}.")
        try:
            found[key.strip()] = parse_value(text)
        except ValueError as error:
            raise InputError(f"--set {setting}: the value is not valid YAML: {error}.") from error
    return found
