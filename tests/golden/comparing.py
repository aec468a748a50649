"""Differences between two records of the same case."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

__all__ = ["RELATIVE", "differences"]

RELATIVE = 1e-5  #: allowed relative difference of a float between machines
#: Digests of bytes, and the size of files whose headers name the installed versions.
_BITWISE = ("arrays", "file", "config", "fingerprint", "adapter_bytes")


def differences(case: str, expected: dict[str, Any], found: dict[str, Any], exact: bool) -> list[str]:
    """One message for each entry that differs, with the case, the entry and both values.

    Args:
        exact: compare every bit; otherwise floats may differ by RELATIVE and entries of _BITWISE are ignored.
    """
    return [
        f"{case}: {path}: recorded {left!r}, found {right!r}"
        for path, left, right in _pairs("", expected, found)
        if not _equal(path, left, right, exact)
    ]


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


_ABSENT = _Absent()


def _pairs(path: str, left: Any, right: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every leaf of either record with its path and both values."""
    if isinstance(left, list) and isinstance(right, list):
        left, right = (dict(enumerate(items)) for items in (left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left | right:
            yield from _pairs(f"{path}.{key}".lstrip("."), left.get(key, _ABSENT), right.get(key, _ABSENT))
    else:
        yield path, left, right


def _equal(path: str, left: Any, right: Any, exact: bool) -> bool:
    if type(left) is not type(right):
        return False
    if exact:
        return left == right
    if path.rpartition(".")[2] in _BITWISE:
        return True
    return math.isclose(left, right, rel_tol=RELATIVE) if isinstance(left, float) else left == right
