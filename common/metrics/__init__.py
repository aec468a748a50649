"""Metrics in NumPy and plain Python: of classes, tags and losses here, of generated texts in `common.metrics.text`."""

from common.metrics.classification import CLASSIFICATION, classification_metrics
from common.metrics.comparing import better
from common.metrics.language import LANGUAGE, language_metrics, mean_loss
from common.metrics.tags import tag_metrics

__all__ = [
    "CLASSIFICATION",
    "LANGUAGE",
    "better",
    "classification_metrics",
    "language_metrics",
    "mean_loss",
    "tag_metrics",
]
