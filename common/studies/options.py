"""Arguments that several subcommands of ``twinlora study`` share, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError

if TYPE_CHECKING:
    from common.studies.definition import Definition
    from common.studies.layout import StudyDirectory

__all__ = ["OUTPUT", "add_changes", "add_directory", "add_filter", "definition", "directory", "filters"]

OUTPUT = Path("runs/studies")


def add_changes(parser: argparse.ArgumentParser) -> None:
    """STUDY, and everything that changes it."""
    parser.add_argument(
        "study",
        metavar="STUDY",
        help="a YAML file, a study directory that is there, or the name of a shipped study such as emotion_minilm",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="short for --set data.directory=DIR")
    parser.add_argument("--model", metavar="SOURCE", help="short for --set model.source=SOURCE")
    parser.add_argument("--name", help="name of the study directory; default: that of the file")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change one setting of all runs; may be repeated",
    )
    parser.add_argument(
        "--backend",
        metavar="BACKEND",
        action="append",
        help="pytorch or mindspore; may be repeated; default: the study's. A study that is there keeps its others",
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help=f"where study directories are made; default: {OUTPUT}"
    )


def add_filter(parser: argparse.ArgumentParser) -> None:
    """--filter."""
    parser.add_argument(
        "--filter", metavar="AXIS=VALUE", action="append", default=[],
        help="only points with this value; several of one axis are alternatives",
    )  # fmt: skip


def add_directory(parser: argparse.ArgumentParser) -> None:
    """STUDY, a directory that is there."""
    parser.add_argument("study", metavar="STUDY", type=Path, help="a study directory, such as runs/studies/emotion")


def definition(args: argparse.Namespace) -> tuple[Definition, Path]:
    """The study that the arguments of `add_changes` describe, and where its directory is made.

    Raises:
        InputError: the definition or a setting is wrong.
    """
    from common.studies.definition import changed, read_definition
    from common.studies.layout import StudyDirectory

    found = read_definition(args.study, _settings(args))
    there = Path(args.study, "study.yaml").is_file()
    folder = Path(args.study).resolve()
    # a study directory may have been renamed: it is continued, and not the one that bears its former name
    name = args.name or (folder.name if there and args.output is None else found.name)
    changes: dict[str, Any] = {"name": name} if name != found.name else {}
    output = args.output or (folder.parent if there and not args.name else OUTPUT)
    before = StudyDirectory(Path(output, name).resolve())
    planned = [point["backend"] for point in before.points()] if before.plan.is_file() else []
    changes |= {"backends": tuple(dict.fromkeys([*(args.backend or found.backends), *planned]))}
    return changed(found, **changes), output


def directory(args: argparse.Namespace) -> StudyDirectory:
    """The study directory of `add_directory`."""
    from common.studies.layout import StudyDirectory

    return StudyDirectory(args.study.resolve())


def filters(args: argparse.Namespace) -> dict[str, list[str]]:
    """The values of ``--filter AXIS=VALUE`` by axis, several of one axis being alternatives, and of ``--backend``.

    Raises:
        InputError: one has another form.
    """
    found: dict[str, list[str]] = {}
    for text in args.filter:
        axis, equals, value = text.partition("=")
        if not equals or not axis:
            raise InputError(f"--filter must have the form AXIS=VALUE; received {text!r}.")
        found.setdefault(axis.strip(), []).append(value.strip())
    if args.backend and "backend" not in found:
        found["backend"] = args.backend
    return found


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    from common.config.yaml_text import parse_value
    from common.reading import expanded

    found: dict[str, Any] = {}
    for text in args.set:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set must have the form section.key=value; received {text!r}.")
        try:
            found[key.strip()] = parse_value(value)
        except ValueError as error:
            raise InputError(f"--set {text}: the value is not valid YAML: {error}.") from error
    if args.data_dir is not None:
        found["data.directory"] = str(expanded(args.data_dir).resolve())
    if args.model is not None:
        found["model.source"] = args.model
    return found
