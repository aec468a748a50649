"""What torch refuses must be refused: a call that MindSpore answers all the same is silently wrong. Tried in eager
mode, since graphs do not look at values."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from common.api_mapping.row import Row, draw_all

__all__ = ["accepted"]


def accepted(
    row: Row, function: Callable[..., Any], torch_backend: ModuleType, backend: ModuleType
) -> list[tuple[str, str]]:
    """Of the row's refusals those that ``function`` answers: the call, and what torch says to it.

    Raises:
        ValueError: torch answers one, which is no refusal then.
    """
    found = []
    for case in row.refusals:
        try:
            torch_backend.run(torch_backend.resolve(row.name), row, case, draw_all(row, case))
        except Exception as error:  # whatever it raises is what it says
            said = str(error).strip().splitlines() or [type(error).__name__]
        else:
            raise ValueError(f"{row.name}({case}) is no refusal: torch answers it")
        try:
            backend.run(function, row, case, draw_all(row, case))
        except Exception:
            continue
        found.append((str(case), f"is answered, although torch refuses it: {said[0][:120]}"))
    return found
