"""``twinlora map``: which MindSpore call does what a torch call does, verified by running both."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.cli import options

__all__ = ["add_parser", "run"]

_ROWS = "torch's names, with or without the leading torch.; patterns such as 'torch.nn.*'; default: all"


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command and what it can do."""
    parser = subparsers.add_parser(
        "map", help="look up, verify and apply the mapping of torch calls to MindSpore", allow_abbrev=False
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, function, text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(action=function)
        return added

    device = "cpu, gpu, ascend, with :INDEX; default: the first accelerator, or the CPU"
    verify = action("verify", _verify, "run rows in both frameworks and compare; exit code 1 if any fails")
    verify.add_argument("rows", metavar="ROW", nargs="*", help=_ROWS)
    verify.add_argument("--device", help=device)
    verify.add_argument(
        "--mode",
        default="pynative",
        help="pynative, graph (every call compiled), gradient (compiled together with its gradient), both (the first two) "
        "or all; default: pynative",
    )
    verify.add_argument(
        "--repeat",
        metavar="N",
        type=int,
        help="make every call N times, the first three with other inputs: some kernels are wrong from a later one on; "
        "default: 1 in PyNative, else 3",
    )
    verify.add_argument(
        "--peer", metavar="SUITE", help="opinfo: run the samples of torch's own test databases (needs expecttest)"
    )
    verify.add_argument(
        "--limit", metavar="N", type=int, default=0, help="with --peer: samples of an operator and dtype"
    )
    verify.add_argument("--json", metavar="FILE", type=Path, help="also write everything that was found")
    probe = action("probe", _probe, "try the candidates of rows on this device and keep the first that is right")
    probe.add_argument("rows", metavar="ROW", nargs="*", help=_ROWS)
    probe.add_argument("--device", help=device)
    probe.add_argument("-o", "--output", metavar="FILE", type=Path, help="lock file to add to; default: the user's own")
    show = action("show", _show, "everything known of a row, and both programs; needs no framework")
    show.add_argument("row", metavar="ROW", help="torch's name, with or without the leading torch.")
    listing = action("list", _list, "the rows with targets and verdicts; needs no framework")
    listing.add_argument("--section", metavar="NAME", help="torch, torch.Tensor, torch.nn, torch.nn.functional, ...")
    listing.add_argument("--verdict", metavar="VERDICT", help="exact, rounding, adapted, stochastic, ...")
    listing.add_argument("--legacy", action="store_true", help="only the rows of the 2022 table")
    listing.add_argument("--search", metavar="TEXT", help="in names, targets and notes")
    export = action("export", _export, "the mapping for other programs; needs no framework")
    export.add_argument("--format", required=True, metavar="FORMAT", help="json, csv, msprobe-yaml, html or markdown")
    export.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: standard output")
    scan = action(
        "scan",
        _scan,
        "what PyTorch source would need, call by call, without running it; exit code 1 if a call has no verified row",
    )
    scan.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a file (.py, .ipynb) or a folder")
    scan.add_argument("--format", default="text", metavar="FORMAT", help="text, json, sarif or markdown; default: text")
    scan.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: standard output")
    record = action("record", _record, "train some steps in MindSpore and tell which rows were used; writes no run")
    options.add_experiment(record)
    record.add_argument("--device", help=device)
    record.add_argument("--steps", type=int, default=2, help="default: 2")
    record.add_argument("--json", metavar="FILE", type=Path, help="also write every kind of call")
    docs = action("docs", _docs, "write api_mapping.md and .html of the published verification; needs no framework")
    docs.add_argument("-o", "--output", metavar="DIR", type=Path, default=Path("docs"), help="default: docs")
    return parser


def run(args: argparse.Namespace) -> int | None:
    """Do what was asked; a number is the exit code."""
    return args.action(args)


def _verify(args: argparse.Namespace) -> None:
    from common.api_mapping.commands import verify, verify_peer

    if args.peer is not None:
        verify_peer(args.peer, args.rows, args.device, args.mode, args.limit, args.json)
        return
    verify(args.rows, args.device, args.mode, args.repeat, args.json)


def _probe(args: argparse.Namespace) -> None:
    from common.api_mapping.commands import probe

    print(probe(args.rows, args.device, args.output))


def _show(args: argparse.Namespace) -> None:
    from common.api_mapping.commands import show

    print(show(args.row))


def _list(args: argparse.Namespace) -> None:
    from common.api_mapping.commands import listing

    print(listing(args.section, args.verdict, args.legacy, args.search))


def _export(args: argparse.Namespace) -> None:
    from common.api_mapping.commands import check_choice
    from common.api_mapping.export import FORMATS, export

    _deliver(export(check_choice("--format", args.format, FORMATS)), args.output)


def _scan(args: argparse.Namespace) -> int:
    from common.api_mapping.commands import check_choice
    from common.api_mapping.scan import FORMATS, render, scan

    format = check_choice("--format", args.format, FORMATS)
    report = scan(args.paths)
    _deliver(render(report, format), args.output)
    return report.exit_code


def _record(args: argparse.Namespace) -> None:
    from common.api_mapping.commands import record

    log = record(options.experiment(args), args.device, args.steps)
    print(log.table())
    if args.json is not None:
        log.to_json(args.json)
        print(args.json)


def _docs(args: argparse.Namespace) -> None:
    from common.api_mapping.export import write_pages

    for path in write_pages(args.output):
        print(path)


def _deliver(text: str, output: Path | None) -> None:
    """To a file, whose path is printed, or to standard output."""
    from common.files import write_atomic

    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write_atomic(output, text)
        print(output)
