"""Several metrics of the outputs of one or more systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from common.errors import InputError
from common.metrics.intervals import Comparison, Interval, compare, interval
from common.metrics.text import TEXT_METRICS
from common.metrics.text.metric import TextMetric

__all__ = ["Scores", "chosen_metrics", "score_texts"]


@dataclass(frozen=True)
class Scores:
    """What several systems reach on the same inputs."""

    definitions: dict[str, str]  #: by metric
    systems: list[dict[str, Interval]]  #: by metric, for each system
    comparisons: list[dict[str, Comparison]]  #: with the first system, for each of the others
    left_out: dict[str, str] = field(default_factory=dict)  #: metric to why it could not be computed


def chosen_metrics(names: Sequence[str] = ()) -> tuple[list[TextMetric], dict[str, str]]:
    """The metrics that can be computed here, and why the others cannot. ``all`` names every metric; without a name, the
    standard ones.

    Raises:
        InputError: a name is unknown, or one that was named alone cannot be computed.
    """
    every = "all" in names
    named = [TEXT_METRICS.get(name) for name in dict.fromkeys(names) if not every]
    wanted = named or [metric for metric in TEXT_METRICS if every or metric.standard]
    reasons = {metric.name: metric.missing() for metric in wanted}
    left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    if left_out and not every:
        raise InputError("; ".join(f"Metric {name} cannot be computed: {reason}" for name, reason in left_out.items()))
    return [metric for metric in wanted if metric.name not in left_out], left_out


def score_texts(
    systems: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    names: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> Scores:
    """Every metric of every system, with intervals, and the differences from the first system.

        score_texts([["the cat sat on the mat"]], [["a cat sat on the mat", "the cat is on a mat"]]).systems[0]["bleu-e2e"]

    Args:
        systems: for each, one output an example.
        references: one or more for each example.
        names: of metrics, or ``all``; without any, the standard ones.
        resamples: of the bootstrap.
        seed: of the resamples.

    Raises:
        InputError: numbers of examples differ, an example has no reference, or a metric is unknown or missing.
    """
    _check(systems, references)
    metrics, left_out = chosen_metrics(names)
    values: list[dict[str, Interval]] = [{} for _ in systems]
    differences: list[dict[str, Comparison]] = [{} for _ in systems[1:]]
    for metric in metrics:
        statistics: list[np.ndarray] = [metric.statistics(outputs, references) for outputs in systems]
        for found, rows in zip(values, statistics, strict=True):
            found[metric.name] = interval(rows, metric.score, resamples, seed)
        for found_difference, rows in zip(differences, statistics[1:], strict=True):
            found_difference[metric.name] = compare(statistics[0], rows, metric.score, resamples, seed)
    return Scores({metric.name: metric.definition for metric in metrics}, values, differences, left_out)


def _check(systems: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> None:
    for outputs in systems:
        if len(outputs) != len(references):
            raise InputError(
                f"Each example needs one output and its references; received {len(outputs)} outputs and references of "
                f"{len(references)} examples."
            )
    if not references:
        raise InputError("Metrics need at least one example; received none.")
    for number, given in enumerate(references, 1):
        if not any(reference.strip() for reference in given):
            raise InputError(f"Example {number} has no reference. Correct or remove it.")
