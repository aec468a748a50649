"""A comparison as one HTML page: heat map of cases and metrics, error growth through the layers, loss curves, and every
worst element."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import groupby

import numpy as np

from common.language import in_english
from common.parity.compare import CaseResult, Comparison
from common.parity.text import advice, headline
from common.parity.trace import Trace
from common.parity.verdict import FAIL, NOT_COMPARABLE, PASS, ROUNDING, TensorResult
from common.report.elements import Html, details, escape, figure, legend, measure, note, page, section, table, tiles
from common.report.figures import Line, line_chart

__all__ = ["comparison_page"]

_METRICS = (("max_rel", "max rel"), ("rms_rel", "RMS rel"), ("max_abs", "max abs"), ("close", "close"), ("ulp_p50", "ULP p50"), ("ulp_p99", "ULP p99"),
            ("ulp_max", "ULP max"), ("bias", "bias"), ("cosine", "1 - cosine"))  # fmt: skip
_ROWS = 60  #: cases of a level that the heat map shows, those nearest their limits


@in_english
def comparison_page(comparison: Comparison, baseline: Trace, test: Trace, reference: Trace | None) -> str:
    """The page, which loads nothing from anywhere."""
    counts = comparison.counts
    figures = [
        (verdict, f"{counts[verdict]:,}", _REMARKS[verdict]) for verdict in (PASS, ROUNDING, FAIL, NOT_COMPARABLE)
    ]
    levels = {level: list(cases) for level, cases in groupby(comparison.cases, lambda case: case.level)}
    return page(
        f"Parity: {comparison.suite}",
        Html(f"{escape(headline(comparison))}. {escape(advice(comparison))}"),
        Html("<style>main { max-width: 84rem; }</style>"),
        tiles(figures),
        legend([("a", f"baseline: {comparison.baseline}"), ("b", f"test: {comparison.test}")]),
        note(
            f"Reference: {comparison.reference}."
            if comparison.reference
            else "No reference: differences of the two are judged directly."
        ),
        *(_failure(case) for case in [comparison.first_failure] if case),
        *(_training(case, baseline, test, reference) for case in levels.get("training", [])),
        *_growths(levels.get("models", [])),
        *(_heat_map(level, cases) for level, cases in levels.items()),
        _drill_down(comparison.cases),
    )


_REMARKS = {
    PASS: "as near to the reference as the baseline",
    ROUNDING: "farther, but within the limit, which says why",
    FAIL: "beyond the limit",
    NOT_COMPARABLE: "missing, or not available on one side",
}


def _failure(case: CaseResult) -> Html:
    return section(
        "First failure",
        note(Html(f"<b>{escape(case.id)}</b> {escape(case.title)}: {escape(case.message)}")),
        _tensor_table(case.tensors),
    )


def _training(case: CaseResult, baseline: Trace, test: Trace, reference: Trace | None) -> Html:
    ours, theirs = test.tensor(case.id, "loss"), baseline.tensor(case.id, "loss")
    if ours is None or theirs is None or ours.shape != theirs.shape or ours.ndim != 1:
        return Html("")
    exact = reference.tensor(case.id, "loss") if reference else None
    x = np.arange(1, len(ours) + 1)
    pairs = [("a", theirs, exact), ("b", ours, exact)] if exact is not None else [("ink", ours, theirs)]
    gaps = [Line(role, x, np.abs(values.astype(np.float64) - other) / np.abs(other)) for role, values, other in pairs]
    against = "to the float64 run" if exact is not None else "of the test to the baseline"
    return section(
        case.id,
        figure(
            "Loss",
            line_chart(f"{case.id} loss", [Line("a", x, theirs), Line("b", x, ours)], "loss"),
            f"verdict: {case.verdict}",
        ),
        figure(
            f"Relative distance {against}",
            line_chart(f"{case.id} distance", gaps, "relative distance", log=True),
            "Points at 0 are left out.",
        ),
        css="grid",
    )


def _growths(cases: list[CaseResult]) -> list[Html]:
    drawings = []
    for case in cases:
        states = [tensor for tensor in case.tensors if tensor.name.startswith("hidden/")]
        if len(states) < 2:
            continue
        x = np.arange(len(states))
        lines = [Line("b", x, np.array([state.test_error for state in states]))]
        if all(state.baseline_error is not None for state in states):
            lines.insert(0, Line("a", x, np.array([state.baseline_error for state in states])))
        drawings.append(
            figure(
                case.id,
                line_chart(f"{case.id} error growth", lines, "relative error", log=True, x_label="layer"),
                f"verdict: {case.verdict}",
            )
        )
    return [section("Error growth through the layers", *drawings, css="grid")] if drawings else []


def _heat_map(level: str, cases: list[CaseResult]) -> Html:
    """Colour says how much of its limit an error uses, on a logarithmic scale: none below a thousandth, full at the
    limit."""
    chosen = sorted((case for case in cases if case.worst and case.worst.difference), key=_use, reverse=True)[:_ROWS]
    if not chosen:
        return Html("")
    chosen.sort(key=cases.index)
    head = ["case", "verdict", "test error", "baseline error", "limit", *(label for _, label in _METRICS)]
    rows = []
    for case in chosen:
        worst = case.worst
        assert worst is not None
        errors = (
            _tinted(worst.test_error, worst.cap),
            _tinted(worst.baseline_error, worst.cap),
            _unbroken(measure(worst.cap)),
        )
        between = [_metric(worst, name) for name, _ in _METRICS]
        rows.append(
            [
                Html(f"{escape(case.id)} <small>{escape(case.title[:48])} {escape(worst.name)}</small>"),
                case.verdict,
                *errors,
                *between,
            ]
        )
    left = f" {len(cases) - len(chosen):,} more cases use less of theirs." if len(cases) > len(chosen) else ""
    text = f"The tensor of each case that uses most of its limit.{left} Errors are against the reference; the metrics lay the test beside the baseline."
    return section(f"Heat map: {level}", note(text), table(head, rows))


def _use(case: CaseResult) -> float:
    worst = case.worst
    assert worst is not None
    return worst.test_error / worst.cap if worst.cap else float(worst.verdict == FAIL)


def _metric(tensor: TensorResult, name: str) -> str | Html:
    value = getattr(tensor.difference, name)
    if name in ("max_rel", "rms_rel"):
        return _tinted(value, tensor.cap)
    return _unbroken(measure(1.0 - value if name == "cosine" else value))


def _tinted(value: float | None, cap: float) -> Html:
    if value is None:
        return escape(None)
    share = 0.0 if not cap or value <= 0 else min(max((math.log10(value / cap) + 3.0) / 3.0, 0.0), 1.0)
    over = cap and value > cap
    colour = f"color-mix(in srgb, var(--{'a' if over else 'b'}) calc({share:.2f} * var(--most)), transparent)"
    return Html(
        f'<span style="background:{colour};padding:0 .35em;border-radius:.25em;white-space:nowrap">{escape(measure(value))}</span>'
    )


def _unbroken(text: str) -> Html:
    return Html(f'<span style="white-space:nowrap">{escape(text)}</span>')


def _drill_down(cases: Iterable[CaseResult]) -> Html:
    parts = []
    for case in cases:
        if case.verdict != PASS or case.level in ("models", "training"):
            inner = [note(case.message)] if case.message else []
            parts.append(details(f"{case.id} {case.title[:80]}: {case.verdict}", *inner, _tensor_table(case.tensors)))
    return section(
        "Worst elements",
        note("Every case that does not simply pass, and those of models and training; all cases are in the JSON file."),
        *parts,
    )


def _tensor_table(tensors: Iterable[TensorResult]) -> Html:
    head = ["tensor", "verdict", "test error", "baseline error", "limit", "at", "baseline", "test", "reference"]
    rows = []
    for tensor in tensors:
        values = [None if value is None else f"{value:.9g}" for value in (*tensor.values, None, None, None)[:3]]
        errors = (
            _tinted(tensor.test_error, tensor.cap),
            _tinted(tensor.baseline_error, tensor.cap),
            _unbroken(measure(tensor.cap)),
        )
        rows.append([tensor.name, tensor.verdict, *errors, str(list(tensor.position)), *values])
    return table(head, rows) if rows else Html("")
