"""Whether two networks computed the same, and the table that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["LIMIT", "Comparison", "compare", "table", "to_json"]

LIMIT = 1e-4  #: of the largest magnitude of an array: float32 rounding, grown through a network's depth


@dataclass(frozen=True)
class Comparison:
    """One quantity in one mode."""

    mode: str  #: evaluation or training
    how: str  #: eager or compiled
    what: str  #: outputs, gradients, or parameters after steps
    error: float | None  #: largest difference, relative to the largest magnitude of its array; None where nothing ran
    where: str = ""  #: the array that differs most
    refused: str = ""  #: the error instead of a result
    skipped: str = ""  #: why it was not compared

    def equal(self, limit: float = LIMIT) -> bool:
        """Whether it is no difference."""
        return bool(self.skipped) or (not self.refused and self.error is not None and self.error <= limit)


def compare(mode: str, how: str, what: str, torch: Mapping[str, Any], mindspore: Mapping[str, Any]) -> Comparison:
    """Compare arrays by name. Shapes, kinds of dtype, and the places of NaN and infinities must be the same."""
    if torch.keys() != mindspore.keys():
        names = ", ".join(sorted({*torch} ^ {*mindspore})[:4])
        return Comparison(mode, how, what, float("inf"), f"only on one side: {names}")
    worst, where = 0.0, ""
    scales = {name: _scale(value) for name, value in torch.items()}
    floor = 1e-2 * max(
        scales.values(), default=0.0
    )  # what is nothing but rounding of the others has no scale of its own
    for name, value in torch.items():
        found = _difference(np.asarray(value), np.asarray(mindspore[name]), max(scales[name], floor))
        if found > worst:
            worst, where = found, name
    return Comparison(mode, how, what, worst, where)


def _scale(value: Any) -> float:
    finite = np.asarray(value, np.float64)
    finite = finite[np.isfinite(finite)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def _difference(a: np.ndarray, b: np.ndarray, scale: float) -> float:
    if a.shape != b.shape or (a.dtype.kind == "f") != (b.dtype.kind == "f"):
        return float("inf")
    a, b = a.astype(np.float64), b.astype(np.float64)
    special = ~np.isfinite(a)
    if not np.array_equal(special, ~np.isfinite(b)) or not np.array_equal(a[special], b[special], equal_nan=True):
        return float("inf")
    largest = np.abs(a[~special] - b[~special]).max() if a[~special].size else 0.0
    return float(largest / scale) if scale else float(largest)


def table(found: Sequence[Comparison], limit: float = LIMIT) -> str:
    """An aligned table."""
    rows = [("mode", "", "compared", "largest difference", "")]
    for item in found:
        size = "not compared" if item.skipped else "error" if item.refused else f"{item.error:.1e}"
        told = item.skipped or item.refused or ("" if item.equal(limit) else f"DIFFERS, most in {item.where}")
        rows.append((item.mode, item.how, item.what, size, told))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]).rstrip()
        for row in rows
    )


def to_json(found: Sequence[Comparison], limit: float = LIMIT) -> dict[str, Any]:
    """Plain data."""
    rows = [{**vars(item), "error": _number(item.error), "equal": item.equal(limit)} for item in found]
    return {"schema": 1, "limit": limit, "equal": all(item.equal(limit) for item in found), "comparisons": rows}


def _number(value: float | None) -> float | str | None:
    return "infinite" if value == float("inf") else value
