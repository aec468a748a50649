"""The registry: every row, in the order of the files that hold them. A row has one place; later files may not repeat a
name."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from functools import cache

from common.api_mapping.row import Row
from common.errors import InputError, nearest

__all__ = ["digest", "find", "registry", "search"]


@cache
def registry() -> dict[str, Row]:
    """Every row by torch's name."""
    rows: dict[str, Row] = {}
    for module in sorted(found.name for found in pkgutil.iter_modules(__path__)):
        for row in importlib.import_module(f"{__name__}.{module}").ROWS:
            if row.name in rows:
                raise ValueError(f"{row.name} stands twice in the registry")
            rows[row.name] = row
    return rows


def find(name: str) -> Row:
    """The row called ``name``, with or without the leading ``torch.``.

    Raises:
        InputError: there is none; the nearest names are told.
    """
    rows = registry()
    for candidate in (
        name,
        f"torch.{name}",
        f"torch.nn.functional.{name}",
        f"torch.Tensor.{name}",
        f"torch.nn.{name}",
        f"torch.optim.{name}",
    ):
        if candidate in rows:
            return rows[candidate]
    raise InputError(
        f"The mapping has no row {name!r}.{nearest(name, [*rows, *(row.rpartition('.')[2] for row in rows)])} `twinlora map list` shows all."
    )


def search(text: str) -> list[Row]:
    """Rows whose name, targets or notes contain ``text``, in any case."""
    wanted = text.lower()
    return [
        row
        for row in registry().values()
        if wanted in " ".join((row.name, *row.targets, row.legacy, row.note, row.adaptation)).lower()
    ]


def digest() -> str:
    """Changes whenever any row does."""
    return hashlib.sha256("".join(row.digest() for row in registry().values()).encode()).hexdigest()[:16]
