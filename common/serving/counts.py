"""What one artifact has answered since the server began, and how fast."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

__all__ = ["Counts"]

_KEPT = 1000  #: latest texts of which the latency is kept


class Counts:
    """Numbers of texts and batches, and latencies from a text's arrival to its answer."""

    def __init__(self) -> None:
        self.texts = self.failed = self.gone = self.batches = 0
        self._seconds: deque[float] = deque(maxlen=_KEPT)
        self._rates: deque[tuple[int, float]] = deque(maxlen=20)

    def batch(self, rows: int, seconds: float) -> None:
        """Some texts were computed together."""
        self.batches += 1
        self._rates.append((rows, seconds))

    def answered(self, seconds: float, failed: bool) -> None:
        """A text was answered, or found to have no answer."""
        self.texts += 1
        self.failed += failed
        self._seconds.append(seconds)

    def seconds_for(self, texts: int) -> int:
        """After how long so many may be answered, by the latest batches; 1 at least, 60 at most."""
        rows, seconds = (sum(column) for column in zip((1, 0.1), *self._rates, strict=True))
        return min(60, max(1, math.ceil(texts * seconds / rows)))

    def record(self, waiting: int) -> dict[str, Any]:
        """Ready for JSON. Latencies are those of the latest 1,000 texts, in seconds; null before the first."""
        found = np.array(self._seconds)
        parts = {"median": 50, "p95": 95, "p99": 99, "largest": 100}
        return {
            "texts": self.texts,
            "failed": self.failed,
            "gone": self.gone,
            "waiting": waiting,
            "batches": self.batches,
            "latency_seconds": {
                name: float(np.percentile(found, part)) if len(found) else None for name, part in parts.items()
            },
        }
