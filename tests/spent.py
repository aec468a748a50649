"""``--spent FILE``: processor seconds of every test file, its workers' and their children's together, most first.

Seconds of processor time say what a test costs on a busy machine too.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Spent"]


def _seconds() -> float:
    """Of this process, all threads, and of the children that it has waited for."""
    return sum(os.times()[:4])


class Spent:
    """A plugin of every process of a test run: workers measure, the one that starts them adds up."""

    def __init__(self, path: Path):
        self._path, self._last = path, _seconds()
        self._files: Counter[str] = Counter()

    def pytest_collection_finish(self) -> None:
        """What collecting took counts for no file."""
        self._files["(collection)"] += _seconds()
        self._last = _seconds()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        """The seconds since the last report belong to this phase of this test."""
        outcome = yield
        now = _seconds()
        outcome.get_result().spent, self._last = now - self._last, now

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up; a worker's own sums are not written."""
        self._files[report.nodeid.partition("::")[0]] += getattr(report, "spent", 0.0)

    def pytest_sessionfinish(self) -> None:
        """Write the sums."""
        if "PYTEST_XDIST_WORKER" not in os.environ:
            rounded = {name: round(seconds, 2) for name, seconds in self._files.most_common()}
            self._path.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
