"""The verdict on one tensor, by the double-benchmark method of `common.parity.limits`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np

from common.parity.limits import EPSILON, Limit, limit_of
from common.parity.metrics import Metrics, measure, special_values

__all__ = ["FAIL", "NOT_COMPARABLE", "PASS", "ROUNDING", "VERDICTS", "TensorResult", "judge", "judge_statistics"]

PASS, ROUNDING, NOT_COMPARABLE, FAIL = VERDICTS = (
    "pass",
    "rounding",
    "not comparable",
    "fail",
)  # the least worrying first
_OPERATOR = "op "  #: that the kinds of single operators begin with
_NOTHING = "neither side holds a finite number, so that nothing is compared"
_FIGURES = ("min", "max", "mean", "l2")  #: of an array, over its finite values; null where there are none


@dataclass(frozen=True)
class TensorResult:
    """One tensor of a case. Errors are those that decide: of the maximum, or of the norm where the limit says so."""

    name: str
    verdict: str
    message: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    test_error: float = 0.0  #: against the reference, or against the baseline where there is no reference
    baseline_error: float | None = None
    cap: float = 0.0
    difference: Metrics | None = None  #: test against baseline
    position: tuple[int, ...] = ()  #: of the worst element
    values: tuple[float | None, ...] = ()  #: there: baseline, test, reference


class Known(TypedDict):
    """What a result says of its tensor, whatever the verdict."""

    shape: tuple[int, ...]
    dtype: str


def judge(
    name: str,
    kind: str,
    baseline: np.ndarray,
    test: np.ndarray,
    reference: np.ndarray | None,
    peers: float = 0.0,
    draws: Sequence[np.ndarray] = (),
) -> TensorResult:
    """Compare two results, by ``reference`` (float64) where there is one.

    Args:
        peers: size of the largest tensor of the same role in the case; a tensor whose norm is below a ten-thousandth of
            it is judged by that size instead of its own, and one that is zero in exact arithmetic by the size of the
            terms that cancel.
        draws: the reference computed with rounding at random, several times: what any order of float32 operations may
            make of the case, a step over a kink included. An error that some draw has too is the case's own.
    """
    known: Known = {"shape": tuple(test.shape), "dtype": str(test.dtype)}
    if baseline.dtype != test.dtype:
        return TensorResult(name, FAIL, f"dtype {test.dtype}, baseline {baseline.dtype}", **known)
    if baseline.shape != test.shape:
        return TensorResult(name, FAIL, f"shape {list(test.shape)}, baseline {list(baseline.shape)}", **known)
    limit = limit_of(kind, name.partition("/")[0], str(test.dtype))
    if limit.exact or not np.issubdtype(test.dtype, np.inexact):
        return _exact(name, baseline, test, known)
    if (where := special_values(test, baseline)) is not None:
        message = f"NaN or infinity on one side at {list(where)}: {test[where]!s}, baseline {baseline[where]!s}"
        return TensorResult(
            name, FAIL, message, **known, position=where, values=_values(where, baseline, test, reference)
        )
    if _proves_nothing(kind, test.size, bool(np.isfinite(test).any())):
        return TensorResult(name, NOT_COMPARABLE, _NOTHING, **known)
    exact = reference if reference is not None and reference.shape == test.shape else None
    if limit.scale == "norm" and peers:
        limit = replace(limit, small=max(limit.small, _smallest(exact, peers) / np.sqrt(max(test.size, 1))))
    difference = measure(test, baseline, limit)
    of_test = difference if exact is None else measure(test, exact, limit)
    of_baseline = None if exact is None else measure(baseline, exact, limit)
    moved = [] if exact is None else [_decisive(limit, measure(draw, exact, limit)) for draw in _usable(draws, exact)]
    verdict, message = _verdict(limit, of_test, of_baseline, moved)
    error, other = _decisive(limit, of_test), None if of_baseline is None else _decisive(limit, of_baseline)
    where = of_test.position
    return TensorResult(name, verdict, message, **known, test_error=error, baseline_error=other, cap=limit.cap, difference=difference, position=where,
                        values=_values(where, baseline, test, exact))  # fmt: skip


def judge_statistics(name: str, kind: str, baseline: dict[str, Any], test: dict[str, Any]) -> TensorResult:
    """Compare two tensors of which at least one is known by its figures alone. Equal hashes are equal bits; otherwise
    only gross differences show."""
    known: Known = {"shape": tuple(test["shape"]), "dtype": test["dtype"]}
    if (baseline["dtype"], baseline["shape"]) != (test["dtype"], test["shape"]):
        return TensorResult(
            name, FAIL, f"{test['dtype']} {test['shape']}, baseline {baseline['dtype']} {baseline['shape']}", **known
        )
    ours, theirs = test["stats"], baseline["stats"]
    size = int(np.prod(test["shape"]))
    if _proves_nothing(kind, size, any(one["nan"] + one["inf"] < size for one in (ours, theirs))):
        return TensorResult(name, NOT_COMPARABLE, _NOTHING, **known)
    if baseline["sha256"] == test["sha256"]:
        return TensorResult(name, PASS, "equal bits", **known)
    limit = limit_of(kind, name.partition("/")[0], test["dtype"])
    if (ours["nan"], ours["inf"]) != (theirs["nan"], theirs["inf"]) or (ours["l2"] is None) != (theirs["l2"] is None):
        return TensorResult(
            name,
            FAIL,
            f"{ours['nan']} NaN and {ours['inf']} infinities, baseline {theirs['nan']} and {theirs['inf']}",
            **known,
        )
    if limit.exact:
        return TensorResult(name, FAIL, "other bits where equal ones are due", **known)
    lacking = [key for key in _FIGURES if (ours[key] is None) != (theirs[key] is None)]
    if lacking:
        return TensorResult(name, FAIL, f"{lacking[0]} is known on one side only", **known)
    error = _gap(ours, theirs, limit.small)
    verdict = FAIL if error > limit.cap else ROUNDING
    return TensorResult(
        name, verdict, "by figures alone: no tensors on one side", **known, test_error=error, cap=limit.cap
    )


def _proves_nothing(kind: str, size: int, finite: bool) -> bool:
    """Whether neither side holds a finite number, as of trainings that diverged. Of a single operator that may be the
    result that is due."""
    return size > 0 and not finite and not kind.startswith(_OPERATOR)


def _gap(ours: dict[str, Any], theirs: dict[str, Any], small: float) -> float:
    """The largest difference of two sets of figures, over the size of the values."""
    scale = max(abs(theirs["min"] or 0.0), abs(theirs["max"] or 0.0), small)
    sizes = {key: max(theirs["l2"] or 0.0, scale) if key == "l2" else scale for key in _FIGURES}
    gaps = {key: abs(ours[key] - theirs[key]) for key in _FIGURES if ours[key] is not None}
    return max((float(gap / sizes[key]) if sizes[key] else np.inf for key, gap in gaps.items() if gap), default=0.0)


def _smallest(reference: np.ndarray | None, peers: float) -> float:
    """The norm below which a gradient is judged by this instead of its own, given the largest norm beside it.

    What cancels exactly, as the gradient of a key's bias does (softmax does not see a shift), leaves rounding: one
    spacing of float64 of its terms. So a reference below that spacing of its peers tells how large the terms are, and
    float32 leaves as much more of them as its spacing is wider.
    """
    terms = 0.0 if reference is None else float(np.linalg.norm(reference)) / EPSILON["float64"]
    return max(1e-4 * peers, terms if terms <= peers else 0.0)


def _usable(draws: Sequence[np.ndarray], exact: np.ndarray) -> list[np.ndarray]:
    """Those of the reference's form, and finite where it is."""
    return [draw for draw in draws if draw.shape == exact.shape and special_values(draw, exact) is None]


def _verdict(limit: Limit, test: Metrics, baseline: Metrics | None, moved: Sequence[float] = ()) -> tuple[str, str]:
    floor = limit.floor
    by_norm = limit.scale == "norm"
    allowed_rms = limit.ratio_rms * max(floor if baseline is None else baseline.rms_rel, floor)
    allowed = limit.ratio * max(floor if baseline is None else baseline.max_rel, floor)
    error = _decisive(limit, test)
    if test.rms_rel <= allowed_rms and (by_norm or test.max_rel <= allowed):
        return PASS, ""
    if error <= limit.cap:
        return ROUNDING, limit.why
    other = None if baseline is None else _decisive(limit, baseline)
    if other is not None and error <= 2.0 * other:
        return ROUNDING, f"ill-conditioned: the baseline itself is off by {other:.2g}"
    if moved and error <= 2.0 * max(moved):
        return (
            ROUNDING,
            f"ill-conditioned: rounding at random moves float64 by up to {max(moved):.2g} in {len(moved)} draws",
        )
    times = f", {error / other:,.0f} times the baseline's {other:.2g}" if other else ""
    drawn = f"; rounding at random moves float64 by {max(moved):.2g} in {len(moved)} draws" if moved else ""
    return FAIL, f"error {error:.3g} exceeds {limit.cap:.2g}{times}{drawn}"


def _decisive(limit: Limit, metrics: Metrics) -> float:
    return metrics.rms_rel if limit.scale == "norm" else metrics.max_rel


def _exact(name: str, baseline: np.ndarray, test: np.ndarray, known: Known) -> TensorResult:
    wrong = ~((baseline == test) | ((baseline != baseline) & (test != test)))
    if not wrong.any():
        return TensorResult(name, PASS, **known)
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    message = f"{int(wrong.sum())} of {wrong.size} elements are not equal; the first at {list(where)}: {test[where]!s}, baseline {baseline[where]!s}"
    return TensorResult(name, FAIL, message, **known, position=where, values=_values(where, baseline, test, None))


def _values(where: tuple[int, ...], *arrays: np.ndarray | None) -> tuple[float | None, ...]:
    found = [None if array is None or array.size == 0 else float(array[where]) for array in arrays]
    return tuple(value if value is None or np.isfinite(value) else None for value in found)
