"""Rows of the mapping, run on the CPU with the lock file that is shipped."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from common.api_mapping import rows as files
from common.api_mapping.row import Row
from common.api_mapping.running import open_backends, verify_rows
from common.api_mapping.verify import CALLS

FILES: dict[str, tuple[Row, ...]] = {
    found.name: importlib.import_module(f"{files.__name__}.{found.name}").ROWS
    for found in pkgutil.iter_modules(files.__path__)
}
RIGHT = ("exact", "rounding", "adapted", "stochastic")


def troubles(rows: Iterable[Row], mode: str = "pynative", calls: int = CALLS) -> list[str]:
    """What keeps rows from being right, with the call: also that a row was not run, or that a call of the 2022 table
    was not.

    Args:
        calls: of every case, with other inputs.
    """
    found = []
    for row, results in verify_rows(rows, open_backends("cpu"), mode, calls):
        result = next(iter(results.values()))
        found += [f"{row.name}({failure.case}): {failure.message}" for failure in result.outcome.failures]
        if result.verdict not in RIGHT and not result.outcome.failures:
            found.append(
                f"{row.name}: {result.verdict}, {len(result.outcome.refused)} of {result.outcome.cases} calls refused"
            )
        if result.outcome.cases != len(row.cases):
            found.append(f"{row.name}: {result.outcome.cases} of {len(row.cases)} calls were run")
        if bool(row.legacy) != bool(result.legacy_verdict):
            found.append(f"{row.name}: nothing is said of {row.legacy}")
    return found
