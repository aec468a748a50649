"""Notebooks: the code cells are converted together, since they share their names; everything else stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from common.api_mapping.convert.files import Converted, collect, rewrite_all
from common.api_mapping.convert.plan import MARK, Todo
from common.api_mapping.scan.knowledge import Knowledge
from common.api_mapping.scan.sources import Source, Unit

__all__ = ["convert_notebook"]

_RUNS = re.compile(r"\s*%(?:time|timeit|prun|memit|lprun)\s+.*\(")


def convert_notebook(
    content: bytes, source: Source, style: str, knowledge: Knowledge, found: Converted, renames: Mapping[str, str]
) -> Converted:
    """The notebook with converted code cells. Outputs of these cells are removed, as they are torch's.

    Cells that cannot be parsed, and those of other languages, stay and are named in ``found.problems``.
    """
    notebook = json.loads(content.decode("utf-8-sig"))
    cells = notebook.get("cells") or [cell for sheet in notebook.get("worksheets", []) for cell in sheet["cells"]]
    units = {unit.cell: unit for unit in source.units}
    numbers = [number for number in range(1, len(cells) + 1) if number in units]
    texts, magics = [], []
    for number in numbers:
        text, taken = _without_magics(_text(cells[number - 1]), units[number])
        texts.append(text)
        magics.append(taken)
    pieces, made = rewrite_all(texts, source, style, knowledge, renames)
    for number, piece, taken in zip(numbers, pieces, magics, strict=True):
        _store(cells[number - 1], _with_magics(piece, taken, found))
    found.text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    marked = found.todos
    collect(found, made)
    found.todos += marked
    return found


def _text(cell: dict[str, Any]) -> str:
    text = cell.get("source", cell.get("input", ""))
    return text if isinstance(text, str) else "".join(text)


def _store(cell: dict[str, Any], text: str) -> None:
    if text == _text(cell):
        return
    key = "source" if "source" in cell else "input"
    cell[key] = text.splitlines(keepends=True) if isinstance(cell.get(key), list) else text
    if "outputs" in cell:
        cell["outputs"], cell["execution_count"] = [], None


def _without_magics(text: str, unit: Unit) -> tuple[str, list[str]]:
    """The cell as it was parsed, with every line that is no Python as a statement that can be found again."""
    original = text.split("\n")
    taken: list[str] = []
    lines = list(unit.lines)
    for place, (line, kept) in enumerate(zip(original, lines, strict=True)):
        if line != kept:
            indent = line[: len(line) - len(line.lstrip())]
            lines[place] = (
                f"{indent}pass  # magic {len(taken)}:" if kept.strip() == "pass" else f"# magic {len(taken)}:"
            )
            taken.append(line)
    return "\n".join(lines), taken


def _with_magics(text: str, taken: list[str], found: Converted) -> str:
    """The magics in their places; those that run Python are marked, since it was not looked at."""
    for place, line in enumerate(taken):
        kept = line
        if _RUNS.match(line):
            indent = line[: len(line) - len(line.lstrip())]
            kept = f"{indent}# {MARK}: magic: convert what it runs\n{line}"
            found.todos.append(Todo(place + 1, "magic", f"convert what it runs: {line.strip()}"))
        pattern = re.compile(rf"^[ \t]*(?:pass  )?# magic {place}:$", re.MULTILINE)
        text = pattern.sub(kept.replace("\\", r"\\"), text)
    return text
