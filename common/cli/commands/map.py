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
    scan.add_argument(
        "--fix", action="store_true", help="convert the one file given, to -o or standard output, as map convert does"
    )
    convert = action("convert", _convert, "rewrite PyTorch source for MindSpore; marks what a person has to look at")
    convert.add_argument("path", metavar="PATH", type=Path, help="a file (.py, .ipynb) or a folder")
    convert.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="a file, or for a folder one")
    convert.add_argument(
        "--style",
        default="imports",
        metavar="STYLE",
        help="imports: torch's names through mindspore_impl.torch_api; native: MindSpore's own calls and verified "
        "adapters; default: imports",
    )
    convert.add_argument(
        "--rename",
        metavar="OLD=NEW",
        action="append",
        default=[],
        help="a package that is converted too: imports of OLD become imports of NEW; repeatable",
    )
    convert.add_argument("--json", metavar="FILE", type=Path, help="also write the report")
    check = action(
        "check",
        _check,
        "run a network and its converted form with the same weights and compare outputs, gradients and steps, eager and "
        "compiled; exit code 1 if anything differs",
    )
    check.add_argument("old", metavar="OLD.py", type=Path, help="the PyTorch source")
    check.add_argument("new", metavar="NEW.py", type=Path, help="the MindSpore source")
    check.add_argument("--class", dest="name", metavar="NAME", required=True, help="the network, in both files")
    check.add_argument(
        "--init", metavar="NAME=VALUE", action="append", default=[], help="an argument of the constructor, a literal"
    )
    check.add_argument(
        "--input",
        metavar="DTYPE[SHAPE]",
        action="append",
        default=[],
        help="an input, in order: 'float32[2,3,32,32]', 'int64[2,16]<100', 'bool[2,16]=1'",
    )
    check.add_argument("--inputs-from", metavar="FUNCTION", default="", help="a function in OLD.py that returns them")
    check.add_argument("--optimizer", default="SGD", metavar="NAME", help="of the three steps; default: SGD")
    check.add_argument("--lr", type=float, default=0.01, help="its rate; default: 0.01")
    check.add_argument(
        "--tolerance",
        type=float,
        default=None,
        help="largest difference, of an array's largest magnitude; default: 1e-4",
    )
    check.add_argument("--eager", action="store_true", help="do not compile")
    check.add_argument("--json", metavar="FILE", type=Path, help="also write the comparisons")
    record = action("record", _record, "train some steps in MindSpore and tell which rows were used; writes no run")
    options.add_experiment(record)
    record.add_argument("--device", help=device)
    record.add_argument("--steps", type=int, default=2, help="default: 2")
    record.add_argument("--json", metavar="FILE", type=Path, help="also write every kind of call")
    docs = action(
        "docs",
        _docs,
        "write the pages of the published verification, api_mapping.md and .html, in English and Chinese; needs no framework",
    )
    docs.add_argument("-o", "--output", metavar="DIR", type=Path, default=Path("docs"), help="default: docs")
    docs.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is not up to date")
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

    if args.fix:
        return _fix(args)
    format = check_choice("--format", args.format, FORMATS)
    report = scan(args.paths)
    _deliver(render(report, format), args.output)
    return report.exit_code


def _fix(args: argparse.Namespace) -> int:
    from common.api_mapping.convert import fix
    from common.errors import InputError

    if len(args.paths) != 1 or not args.paths[0].is_file():
        raise InputError("--fix takes one file; for a folder: twinlora map convert FOLDER -o OUT")
    found = fix(args.paths[0], args.output)
    if args.output is None:
        print(found.text, end="")
    else:
        print(args.output)
    return int(bool(found.todos or found.problems))


def _convert(args: argparse.Namespace) -> int:
    from common.api_mapping.convert import convert, dumps, parse_renames, report
    from common.files import write_atomic

    results = convert(args.path, args.output, args.style, renames=parse_renames(args.rename))
    print(report(results))
    if args.json is not None:
        write_atomic(args.json, dumps(results))
        print(args.json)
    return int(any(found.todos or found.problems for found in results))


def _check(args: argparse.Namespace) -> int:
    from common.api_mapping.checking import LIMIT, check, table, to_json
    from common.api_mapping.checking.inputs import arguments, draw_inputs
    from common.files import write_json

    inputs, limit = draw_inputs(args.input), args.tolerance if args.tolerance is not None else LIMIT
    found = check(
        args.old,
        args.new,
        args.name,
        arguments(args.init),
        inputs,
        args.inputs_from,
        args.optimizer,
        args.lr,
        compiled=not args.eager,
    )
    print(table(found, limit))
    if args.json is not None:
        write_json(args.json, to_json(found, limit))
        print(args.json)
    equal = all(item.equal(limit) for item in found)
    print(f"{args.name}: {'equal' if equal else 'DIFFERENT'}")
    return 0 if equal else 1


def _record(args: argparse.Namespace) -> None:
    from common.api_mapping.commands import record

    log = record(options.experiment(args), args.device, args.steps)
    print(log.table())
    if args.json is not None:
        log.to_json(args.json)
        print(args.json)


def _docs(args: argparse.Namespace) -> int:
    from common.api_mapping.export import stale, write_pages

    told = stale(args.output) if args.check else write_pages(args.output)
    for line in told:
        print(line)
    return int(args.check and bool(told))


def _deliver(text: str, output: Path | None) -> None:
    """To a file, whose path is printed, or to standard output."""
    from common.files import write_atomic

    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write_atomic(output, text)
        print(output)
