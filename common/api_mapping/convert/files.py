"""Converts files, notebooks and folders. Nothing is written before everything of a file is known, and never over what
was read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from common.api_mapping.convert.plan import Plan, Todo
from common.api_mapping.convert.renaming import renamed_imports
from common.api_mapping.scan.knowledge import Knowledge
from common.api_mapping.scan.sources import Source, Unit, decode, find, read
from common.errors import InputError
from common.files import write_atomic

__all__ = ["STYLES", "Converted", "collect", "convert", "convert_text", "fix", "rewrite_all"]

STYLES = ("imports", "native")
Renames = Mapping[str, str]


@dataclass
class Converted:
    """What became of one file."""

    path: str  #: as it is shown
    output: str = ""  #: where it was written; empty where nothing was
    text: str | None = None  #: None where the file was not converted
    converted: int = 0  #: places that were rewritten
    todos: list[Todo] = field(default_factory=list)
    notes: list[Todo] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the places that use torch, those that were rewritten; 1 where there is none."""
        total = self.converted + len(self.todos)
        return self.converted / total if total else 1.0


def convert(
    path: Path,
    output: Path,
    style: str = "imports",
    knowledge: Knowledge | None = None,
    renames: Mapping[str, str] | None = None,
) -> list[Converted]:
    """Convert a file, or every Python file and notebook below a folder.

    Args:
        output: a file for a file, a folder for a folder.
        style: ``imports`` changes the imports and keeps torch's names, ``native`` writes MindSpore's own calls.
        knowledge: of the device; by default what is present here.
        renames: packages of one's own that are imported under another name where they are converted too.

    Raises:
        InputError: there is nothing to convert, the style does not exist, libcst is missing, or ``output`` is, holds
            or lies in what is read.
    """
    files = _files(path, output, style)
    knowledge = knowledge or Knowledge.here()
    results = []
    for file, target in files:
        found = _convert_file(file, style, knowledge, renames or {})
        if found.text is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, found.text)
            found.output = str(target)
        results.append(found)
    return results


def fix(path: Path, output: Path | None = None) -> Converted:
    """Convert one file in native style, and write it if ``output`` is given.

    Raises:
        InputError: the file cannot be read or parsed, libcst is missing, or ``output`` is the file itself.
    """
    [(file, target)] = _files(path, output or Path(os.devnull), "native")
    found = _convert_file(file, "native", Knowledge.here())
    if found.text is None:
        raise InputError(" ".join(found.problems))
    if output is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, found.text)
        found.output = str(target)
    return found


def _files(path: Path, output: Path, style: str) -> list[tuple[Path, Path]]:
    if style not in STYLES:
        raise InputError(f"--style must be one of {', '.join(STYLES)}; received {style!r}.")
    found, problems = find([path])
    if not found:
        raise InputError(f"A Python file, a notebook or a folder that holds some was expected. {' '.join(problems)}")
    real, here = Path(os.path.realpath(output)), Path(os.path.realpath(path))
    if path.is_dir():
        if real == here or here in real.parents or real in here.parents:
            raise InputError(
                f"The output must lie outside of the folder that is converted, and not hold it; received {output} for "
                f"{path}. Name another folder."
            )
        if output.is_file():
            raise InputError(f"The output for a folder must be a folder; {output} is a file.")
        return [(file, output / file.relative_to(path)) for file in found]
    target = output / path.name if output.is_dir() else output
    if Path(os.path.realpath(target)) == here:
        raise InputError(f"A file is not written over itself; received {target} for {path}. Name another file.")
    return [(path, target)]


def _convert_file(path: Path, style: str, knowledge: Knowledge, renames: Renames = MappingProxyType({})) -> Converted:
    source = read(path)
    found = Converted(source.path, problems=list(source.problems))
    if not source.units or (source.problems and path.suffix != ".ipynb"):
        return found
    content = path.read_bytes()
    if path.suffix == ".ipynb":
        from common.api_mapping.convert.notebooks import convert_notebook

        return convert_notebook(content, source, style, knowledge, found, renames)
    text, _ = decode(content)
    return _fill(found, [text], source, style, knowledge, renames)


def convert_text(
    text: str,
    style: str = "imports",
    knowledge: Knowledge | None = None,
    renames: Mapping[str, str] | None = None,
) -> Converted:
    """Convert source text; the result has no path.

    Raises:
        InputError: the text cannot be parsed.
    """
    from common.api_mapping.scan.sources import parse

    unit = parse(text)
    if not isinstance(unit, Unit):
        raise InputError(f"The text must be Python; line {unit[0]} cannot be parsed: {unit[1]}.")
    return _fill(Converted(""), [text], Source("", [unit]), style, knowledge or Knowledge.here(), renames or {})


def _fill(
    found: Converted, texts: Sequence[str], source: Source, style: str, knowledge: Knowledge, renames: Renames
) -> Converted:
    """Convert the pieces of a file, one or the cells of a notebook."""
    pieces, made = rewrite_all(texts, source, style, knowledge, renames)
    found.text = "".join(pieces)
    collect(found, made)
    return found


def rewrite_all(
    texts: Sequence[str], source: Source, style: str, knowledge: Knowledge, renames: Renames
) -> tuple[list[str], list[Plan]]:
    """The converted pieces and their plans. The imports go to the first piece that imports torch."""
    rewriting, plans = _engine(style)
    made = plans(source, knowledge)
    first = next((i for i, text in enumerate(texts) if "import" in text and "torch" in text), 0)
    pieces = [
        rewriting(text, plan, False) if i != first else ""
        for i, (text, plan) in enumerate(zip(texts, made, strict=True))
    ]
    pieces[first] = rewriting(texts[first], made[first], True)
    return [renamed_imports(piece, renames) for piece in pieces], made


def collect(found: Converted, made: Sequence[Plan]) -> None:
    """Add what the plans say."""
    found.converted = sum(plan.converted for plan in made)
    found.todos = [todo for plan in made for todo in sorted(plan.todos, key=lambda todo: todo.line)]
    found.notes = [note for plan in made for note in sorted(plan.notes, key=lambda note: note.line)]


def _engine(style: str) -> tuple[Any, Any]:
    """What carries plans out, and what makes them."""
    try:
        from common.api_mapping.convert.rewriter import rewrite

        if style == "imports":
            from common.api_mapping.convert.surface import plans
        else:
            from common.api_mapping.convert.planning import plans
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        raise InputError(
            "Converting needs libcst, which keeps comments and layout. Install with: pip install libcst"
        ) from None
    return rewrite, plans
