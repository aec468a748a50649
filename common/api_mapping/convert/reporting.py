"""The report of a conversion, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from common.api_mapping.convert.files import Converted
from common.api_mapping.convert.plan import MARK

__all__ = ["dumps", "report", "to_json"]


def to_json(results: Sequence[Converted]) -> dict[str, Any]:
    """The report as plain data."""
    files = [
        {
            "file": found.path,
            "output": found.output,
            "converted": found.converted,
            "remaining": [vars(todo) for todo in found.todos],
            "notes": [vars(note) for note in found.notes],
            "problems": found.problems,
            "share": round(found.share, 4),
        }
        for found in results
    ]
    return {"schema": 1, "files": files}


def report(results: Sequence[Converted]) -> str:
    """The report for a terminal: a line for each file, then what remains."""
    width = max(len(found.path) for found in results)
    lines = [f"{'':<{width}}  converted  remaining  share"]
    for found in results:
        lines.append(
            f"{found.path:<{width}}  {found.converted:>9}  {len(found.todos):>9}  {100 * found.share:>4.0f}%"
            if found.text is not None
            else f"{found.path:<{width}}  not converted"
        )
    for found in results:
        lines += [f"{found.path}:{todo.line}: {todo.name}: {todo.text}" for todo in found.todos]
        lines += found.problems
    done = sum(found.converted for found in results)
    left = sum(len(found.todos) for found in results)
    lines.append(f"{done} of {done + left} places converted, {left} marked with {MARK}")
    return "\n".join(lines)


def dumps(results: Sequence[Converted]) -> str:
    """The report as JSON."""
    return json.dumps(to_json(results), indent=2, ensure_ascii=False) + "\n"
