"""Code cells of a notebook: magics are taken out, lines keep their numbers."""

from __future__ import annotations

import json
import re
from typing import Any

from common.api_mapping.scan.sources import Source, Unit, parse

__all__ = ["cells", "parse_cell"]

_MAGIC = re.compile(
    r"\s*(?:[%!?]|[^#'\"]*\?{1,2}\s*$|[\w.,\s\[\]'\"*]+=\s*[%!])"
)  # %time, !ls, ?name, name?, files = !ls
_PYTHON_CELLS = (
    "%%time",
    "%%timeit",
    "%%capture",
    "%%prun",
    "%%python3",
    "%%python",
)  # the rest of such a cell is Python


def cells(content: bytes, source: Source) -> None:
    """Parse the code cells of a notebook into ``source``, each by itself: a broken cell does not hide the others."""
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
        found = list(_code(notebook))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        source.problems.append(f"{source.path} is not a notebook: {error}.")
        return
    for number, text in found:
        unit = parse_cell(text)
        if isinstance(unit, Unit):
            unit.cell = number
            source.units.append(unit)
        else:
            line, message = unit
            source.problems.append(
                f"{source.path}, cell {number}{f' line {line}' if line else ''} cannot be parsed: {message}."
            )


def _code(notebook: Any):
    """Number, counted over all cells from 1, and text of every code cell. Format 3 keeps them in worksheets."""
    if not isinstance(notebook, dict) or (notebook.get("cells") is None and "worksheets" not in notebook):
        raise ValueError('it has no "cells"')
    listed = notebook.get("cells")
    if listed is None:
        listed = [cell for sheet in notebook["worksheets"] for cell in sheet.get("cells", [])]
    language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    if str(language).lower() != "python":
        raise ValueError(f"its language is {language}")
    for number, cell in enumerate(listed, 1):
        if cell.get("cell_type") == "code":
            text = cell.get("source", cell.get("input", ""))
            yield number, text if isinstance(text, str) else "".join(text)


def parse_cell(text: str) -> Unit | tuple[int, str]:
    """Parse a cell, taking out only the magics on which Python stumbles: a line that begins with ``%`` may as well
    continue an expression."""
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and first.split()[0] not in _PYTHON_CELLS:
        return parse("\n" * (len(lines) - 1))
    while True:
        unit = parse("\n".join(lines))
        if isinstance(unit, Unit) or not 0 < unit[0] <= len(lines) or not _take_out(lines, unit[0] - 1):
            return unit


def _take_out(lines: list[str], place: int) -> bool:
    """Replace the magic at ``place`` and those that follow it directly by ``pass``; say whether there was one."""
    taken = False
    while place < len(lines) and _MAGIC.match(lines[place]):
        line = lines[place]
        lines[place] = line[: len(line) - len(line.lstrip())] + "pass"
        while line.endswith("\\") and place + 1 < len(lines):  # a command may go on in the next line
            place += 1
            line, lines[place] = lines[place], ""
        place += 1
        taken = True
    return taken
