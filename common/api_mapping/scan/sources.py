"""Finds Python files and notebooks, decodes and parses them. Nothing is executed, and whatever cannot be read is told
in a sentence."""

from __future__ import annotations

import ast
import codecs
import os
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["LARGEST", "Source", "Unit", "decode", "find", "parse", "read"]

LARGEST = 20 * 2**20  #: bytes; larger files are data
_SUFFIXES = (".py", ".pyw", ".ipynb")
_LEFT_OUT = ("node_modules", "__pycache__", "site-packages", "venv")
_LINES = re.compile(r"\r\n|\r|\n")  # what ends a line for Python; str.splitlines knows more


@dataclass
class Unit:
    """Code that was parsed in one piece: a file, or a cell of a notebook."""

    tree: ast.Module
    lines: list[str]
    cell: int | None = None  #: place of the cell in the notebook, from 1

    def column(self, line: int, offset: int) -> int:
        """Column from 1 in characters, for ``offset`` in UTF-8 bytes."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return offset + 1 if text.isascii() else len(text.encode()[:offset].decode(errors="replace")) + 1


@dataclass
class Source:
    """One file."""

    path: str  #: as it is shown
    units: list[Unit] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  #: why something of it was not read
    notes: list[str] = field(default_factory=list)  #: what was read otherwise than Python would


def find(paths: Iterable[str | Path]) -> tuple[list[Path], list[str]]:
    """The files below ``paths``, folders in the order of their names, each file once; and sentences about what is not
    there.

    Hidden folders, virtual environments, node_modules and folders that were already entered (links can lead in circles)
    are left out.
    """
    files: dict[str, Path] = {}
    problems: list[str] = []
    for given in map(Path, paths):
        if given.is_dir():
            found = list(_walk(given, problems))
            if not found:
                problems.append(f"{given} holds no Python file and no notebook.")
        elif given.is_file():
            found = [given]
        else:
            problems.append(
                f"{given} is not a file that can be read." if os.path.lexists(given) else f"{given} does not exist."
            )
            continue
        for path in found:
            files.setdefault(os.path.realpath(path), path)
    return list(files.values()), problems


def _walk(folder: Path, problems: list[str]) -> Iterator[Path]:
    entered = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        real = os.path.realpath(current)
        if real in entered:
            continue
        entered.add(real)
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError as error:
            problems.append(f"{current} cannot be opened: {error.strerror}.")
            continue
        if current != folder and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        # os.path, since DirEntry raises where links lead in circles
        yield from (
            Path(entry.path) for entry in entries if entry.name.endswith(_SUFFIXES) and os.path.isfile(entry.path)
        )
        folders = [
            entry
            for entry in entries
            if os.path.isdir(entry.path) and not entry.name.startswith(".") and entry.name not in _LEFT_OUT
        ]
        waiting += [Path(entry.path) for entry in reversed(folders)]


def read(path: Path) -> Source:
    """Read and parse one file; a notebook by its suffix."""
    from common.api_mapping.scan.notebook import cells  # which needs this module

    source = Source(_shown(path))
    try:
        if path.stat().st_size > LARGEST:
            source.problems.append(f"{source.path} is larger than {LARGEST // 2**20} MB and was not read.")
            return source
        content = path.read_bytes()
    except OSError as error:
        source.problems.append(f"{source.path} cannot be read: {error.strerror}.")
        return source
    if path.suffix == ".ipynb":
        cells(content, source)
        return source
    text, note = decode(content)
    if note:
        source.notes.append(f"{source.path} {note}.")
    unit = parse(text)
    if isinstance(unit, Unit):
        source.units.append(unit)
    else:
        line, message = unit
        source.problems.append(f"{source.path}{f':{line}' if line else ''} cannot be parsed: {message}.")
    return source


def decode(content: bytes) -> tuple[str, str]:
    """The text of a Python file as its byte order mark or its ``coding:`` comment says, and a note where that is not
    what Python does.

    Bytes that do not fit are read as latin-1, which keeps everything that is ASCII: all that torch's names need.
    """
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return content.decode(
                encoding, errors="replace"
            ), "is UTF-16, which Python does not read; it was scanned nevertheless"
    rows = iter(content.splitlines(keepends=True)[:2])
    try:
        encoding, _ = tokenize.detect_encoding(lambda: next(rows, b""))
        return content.decode(encoding), ""
    except SyntaxError as error:
        reason = str(error)
    except (UnicodeError, LookupError, ValueError) as error:
        reason = f"{error}"
    return content.removeprefix(codecs.BOM_UTF8).decode("latin-1"), f"was read as latin-1 ({reason})"


def parse(text: str) -> Unit | tuple[int, str]:
    """The parsed text, or the line and the message of what stands in the way."""
    if "\0" in text:
        return text[: text.index("\0")].count("\n") + 1, "it holds a null byte"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the scanned code, for example about its escape sequences
            return Unit(ast.parse(text), _LINES.split(text))
    except SyntaxError as error:
        return error.lineno or 0, error.msg
    except (RecursionError, MemoryError):
        return 0, "it is nested too deeply"
    except ValueError as error:
        return 0, str(error)


def _shown(path: Path) -> str:
    """Relative to the working folder where it lies below, with forward slashes."""
    absolute = Path(os.path.abspath(path))
    here = Path.cwd()
    return absolute.relative_to(here).as_posix() if absolute.is_relative_to(here) else absolute.as_posix()
