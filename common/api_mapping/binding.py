"""From the registry to namespaces: what a half offers under torch's names. Both halves are filled from the same rows, so they cannot drift apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from common.api_mapping.row import Row
from common.api_mapping.rows import registry

__all__ = ["bind", "chosen_target", "names"]


def names(*sections: str, kinds: tuple[str, ...] = ("function",)) -> dict[str, Row]:
    """Last part of the name to row, for the rows of ``sections``; of two rows with one last name the later section's counts."""
    rows = [row for section in sections for row in registry().values() if row.section == section and row.kind in kinds]
    return {row.name.rpartition(".")[2]: row for row in rows}


def chosen_target(row: Row, locked: Mapping[str, Any]) -> str | None:
    """The lock file's choice. A row that was not probed here falls back to its adapter, made of operators that every device has, or to its last candidate."""
    if row.name in locked:
        return locked[row.name]["target"] or row.shim
    return row.shim or (row.targets[-1] if row.targets else None)


def bind(rows: Mapping[str, Row], locked: Mapping[str, Any], resolve: Callable[[str], Any]) -> dict[str, Any]:
    """Name to callable for every row that has a target on this device."""
    bound = {}
    for name, row in rows.items():
        target = chosen_target(row, locked)
        if target is None:
            continue
        try:
            bound[name] = resolve(target)
        except (
            AttributeError,
            ImportError,
        ):  # another version of the framework; whoever calls it is told that the name is missing
            continue
    return bound
