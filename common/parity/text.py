"""A comparison in words: for the terminal and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from common.parity.compare import CaseResult, Comparison
from common.parity.verdict import FAIL, NOT_COMPARABLE, PASS, ROUNDING, VERDICTS, TensorResult

__all__ = ["advice", "headline", "to_markdown", "to_text"]

_SHOWN = 12  #: cases of a kind that are listed; the report has all
_ADVICE = {
    "ops": "`twinlora map show {row}` tells which MindSpore call is right here; `twinlora map probe {row}` tries the others on this device.",
    "recorded": "`twinlora map show {row}` tells which MindSpore call is right here; `twinlora map probe {row}` tries the others on this device.",
    "layers": "Single operators agree where `ops` passes: look at how this layer combines them, its masks and its layouts.",
    "models": "The first tensor that differs is {tensor}: what comes before it agrees. Compare that layer alone with `layers`.",
    "training": "Look at the first step that differs: gradients with `models`, then the optimizer's update of {tensor}.",
}


def headline(comparison: Comparison) -> str:
    """One sentence: how many cases, with which verdicts."""
    counts = comparison.counts
    known = sum(case.known for case in comparison.cases)
    words = [
        f"{counts[verdict]:,} {verdict}" for verdict in (PASS, ROUNDING, FAIL) if counts[verdict] or verdict == PASS
    ]
    if counts[NOT_COMPARABLE]:
        words.append(f"{counts[NOT_COMPARABLE]:,} not comparable ({known:,} for a reason known beforehand)")
    return f"{len(comparison.cases):,} cases: {', '.join(words)}"


def advice(comparison: Comparison) -> str:
    """One line on what to do next."""
    first = comparison.first_failure
    if first is not None and comparison.reference is None:
        return "Record the suite in float64 and give it as --reference: without one nobody knows which side is off, and ill-conditioned cases fail."
    if first is not None:
        tensor = first.worst.name if first.worst else "?"
        return _ADVICE[first.level].format(
            row=first.group.partition("/")[2], tensor=next((t.name for t in first.tensors if t.verdict == FAIL), tensor)
        )
    if comparison.unexplained:
        return "Record the missing cases again on the side that lacks them: nothing is said about them."
    if not comparison.counts[PASS] + comparison.counts[ROUNDING]:
        return "Nothing was compared."
    return (
        "Both compute the same thing."
        if not comparison.counts[ROUNDING]
        else "Both compute the same thing; every rounding is within its limit and explained."
    )


def to_text(comparison: Comparison) -> str:
    """For the terminal: counts by level, the first failure, the worst of every group, one line of advice."""
    return "\n".join(_lines(comparison))


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"baseline   {comparison.baseline}"
    yield f"test       {comparison.test}"
    yield f"reference  {comparison.reference or 'none: differences of the two are judged directly'}"
    yield ""
    yield f"{'':<12}{''.join(f'{verdict:>16}' for verdict in VERDICTS)}"
    for level, cases in _levels(comparison.cases).items():
        found = Counter(case.verdict for case in cases)
        yield f"{level:<12}{''.join(f'{found[verdict]:>16,}' for verdict in VERDICTS)}"
    first = comparison.first_failure
    if first is not None:
        yield f"\nfirst failure: {_said(first)}"
        yield from (f"  {line}" for line in _worst_lines(first))
    if failed := [case for case in comparison.cases if case.verdict == FAIL]:
        yield "\nfailures, the worst of each group:"
        yield from _listed(_worst_of_groups(failed))
    if roundings := _by_reason(case for case in comparison.cases if case.verdict == ROUNDING):
        yield "\nroundings, by what explains them:"
        for reason, cases in roundings.items():
            worst = max(cases, key=_excess)
            tensor = worst.worst
            assert tensor is not None  # a rounding is one of a tensor
            yield f"  {len(cases):>5,}  {reason}; nearest its limit: {worst.id}, {tensor.test_error:.2g} of {tensor.cap:.2g}"
    if comparison.unexplained:
        yield "\nnot comparable:"
        yield from _listed(comparison.unexplained)
    yield f"\n{headline(comparison)}."
    yield advice(comparison)


def to_markdown(comparison: Comparison) -> str:
    """A table to paste into an issue."""
    lines = [
        f"**{headline(comparison)}.** {advice(comparison)}",
        "",
        f"- baseline: {comparison.baseline}",
        f"- test: {comparison.test}",
    ]
    lines += [
        f"- reference: {comparison.reference or 'none'}",
        "",
        f"| level | {' | '.join(VERDICTS)} |",
        "|---|" + "---:|" * len(VERDICTS),
    ]
    for level, cases in _levels(comparison.cases).items():
        found = Counter(case.verdict for case in cases)
        lines.append(f"| {level} | {' | '.join(f'{found[verdict]:,}' for verdict in VERDICTS)} |")
    notable = _worst_of_groups([case for case in comparison.cases if case.verdict == FAIL])
    notable += (
        _worst_of_groups([case for case in comparison.cases if case.verdict == ROUNDING]) + comparison.unexplained
    )
    if notable:
        lines += [
            "",
            "| case | verdict | tensor | test error | baseline error | cap | why |",
            "|---|---|---|---:|---:|---:|---|",
        ]
        for case in notable:
            worst = case.worst or TensorResult("", case.verdict)
            figures = " | ".join(
                "" if value is None else f"{value:.2g}" for value in (worst.test_error, worst.baseline_error, worst.cap)
            )
            lines.append(
                f"| `{case.id}` {_cell(case.title)} | {case.verdict} | {worst.name} | {figures} | {_cell(case.message)} |"
            )
    return "\n".join(lines) + "\n"


def _levels(cases: Iterable[CaseResult]) -> dict[str, list[CaseResult]]:
    found: dict[str, list[CaseResult]] = {}
    for case in cases:
        found.setdefault(case.level, []).append(case)
    return found


def _worst_of_groups(cases: Iterable[CaseResult]) -> list[CaseResult]:
    groups: dict[str, CaseResult] = {}
    for case in cases:
        known = groups.get(case.group)
        if known is None or _excess(case) > _excess(known):
            groups[case.group] = case
    return list(groups.values())


def _by_reason(cases: Iterable[CaseResult]) -> dict[str, list[CaseResult]]:
    found: dict[str, list[CaseResult]] = {}
    for case in cases:
        found.setdefault(case.message.partition(": ")[2], []).append(case)
    return dict(sorted(found.items(), key=lambda entry: -len(entry[1])))


def _excess(case: CaseResult) -> float:
    worst = case.worst
    return worst.test_error / worst.cap if worst and worst.cap else float("inf")


def _listed(cases: list[CaseResult]) -> Iterator[str]:
    yield from (f"  {_said(case)}" for case in cases[:_SHOWN])
    if len(cases) > _SHOWN:
        yield f"  ... and {len(cases) - _SHOWN} more; the report has all"


def _said(case: CaseResult) -> str:
    title = f" ({case.title[:60]}{'...' if len(case.title) > 60 else ''})" if case.title else ""
    return f"{case.id}{title}: {case.message or case.verdict}"


def _worst_lines(case: CaseResult) -> Iterator[str]:
    worst = case.worst
    if worst is None or not worst.values:
        return
    named = zip(("baseline", "test", "reference"), worst.values, strict=False)
    yield f"worst element {list(worst.position)} of {worst.name}: " + ", ".join(
        f"{name} {value!r}" for name, value in named if value is not None
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
