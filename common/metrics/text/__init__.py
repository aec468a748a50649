"""Metrics of generated texts against one or more references. One module each, found by file name."""

from __future__ import annotations

from common.members import Members, extended_path
from common.metrics.text.metric import TextMetric

__all__ = ["TEXT_METRICS", "TextMetric"]

__path__ = extended_path(__path__, __name__)
HELPERS = ("java", "ngrams", "sacre", "scoring", "tokens")  #: modules beside the members
TEXT_METRICS: Members[TextMetric] = Members("common.metrics.text", TextMetric, "A metric", "-", "metric")
