"""The best combination of every value that a study compares first, and whether they differ by more than chance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from common.report.elements import measure
from common.report.study.records import TRIAL, Record, Study, combination
from common.report.study.statistics import FEWEST, exchanged, mcnemar, mean
from common.report.study.tables import Table, selected, shown
from common.tasks import TASKS

__all__ = ["best", "differences", "higher_is_better"]

_MOST = 6  #: values of which every pair is compared; of more, each with the first


def higher_is_better(study: Study) -> bool:
    """Of the metric that the experiments choose their best state by."""
    summary = study.finished[0].summary
    assert summary is not None
    return TASKS.get(summary["settings"]["model"]["task"]).higher_is_better(study.metric)


def best(study: Study) -> dict[Any, list[Record]]:
    """For every value of the group the finished runs of its best combination, chosen on the validation split."""
    records = [record for record in study.finished if TRIAL not in record.label]
    per = () if study.group is None else (study.group,)
    chosen = selected(records, f"validation.{study.metric}", per, higher_is_better(study))
    found: dict[Any, list[Record]] = {}
    for record in chosen:
        found.setdefault(record.value(study.group) if study.group else study.name, []).append(record)
    return found


def differences(study: Study) -> Table | None:
    """Of every pair of `best`; None where there is one alone."""
    groups = best(study)
    if len(groups) < 2:
        return None
    field = f"test.{study.metric}"
    if any(record.value(field) is None for members in groups.values() for record in members):
        field = f"validation.{study.metric}"
    rows = [_row(field, *names, groups[names[0]], groups[names[1]]) for names in _pairs(list(groups))]
    chosen = "; ".join(f"{value}: {_label(members[0])}" for value, members in groups.items())
    notes = (
        f"The best combinations by validation {study.metric}: {chosen}.",
        f"p over seeds: exact two-sided randomisation test of the differences, paired by seed, from {FEWEST} seeds on; "
        "of a seed that was run in several backends, which are to agree, the mean of their differences. "
        "p over examples: exact McNemar test of the first pair of runs on the same examples of the test split.",
    )
    head = ("first", "second", f"{shown(field)}, first minus second", "seeds", "p over seeds", "p over examples")
    return Table(f"Differences of {field.replace('.', ' ')}", head, tuple(rows), 2, notes)


def _pairs(values: list[Any]) -> Iterator[tuple[Any, Any]]:
    yield from combinations(values, 2) if len(values) <= _MOST else ((values[0], value) for value in values[1:])


def _row(field: str, first: Any, second: Any, left: list[Record], right: list[Record]) -> tuple[str, ...]:
    paired = [(a, b) for a in left for b in right if _place(a) == _place(b)]
    by_seed: dict[Any, list[float]] = {}
    for a, b in paired:
        by_seed.setdefault(a.point["seed"], []).append(a.value(field) - b.value(field))
    apart = [mean(values) for values in by_seed.values()]
    over_seeds = exchanged(apart)
    return (
        str(first),
        str(second),
        f"{mean(apart):+.4f}" if apart else "\u2013",
        str(len(apart)),
        "\u2013" if over_seeds is None else measure(over_seeds),
        _over_examples(paired),
    )


def _place(record: Record) -> tuple[Any, ...]:
    return record.point["seed"], record.point["backend"]


def _over_examples(paired: list[tuple[Record, Record]]) -> str:
    if not paired:
        return "\u2013"
    first, second = (record.predictions("test") for record in paired[0])
    if first is None or second is None or list(first.target) != list(second.target):
        return "\u2013"
    p = mcnemar(first.right, second.right)
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _label(record: Record) -> str:
    return ", ".join(f"{shown(axis)} {value}" for axis, value in combination(record))
