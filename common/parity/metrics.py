"""How far one array is from another: every metric of a pair, none of which alone decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.parity.limits import EPSILON, Limit

__all__ = ["Metrics", "measure", "special_values", "ulp_distance"]


@dataclass(frozen=True)
class Metrics:
    """Differences of an array from a reference. Relative ones are over the limit's scale; ``position`` is where the
    largest stands."""

    max_abs: float
    max_rel: float
    rms_rel: float  #: norm of the difference over the norm of the reference
    close: float  #: share of elements within four spacings of their dtype, relative to the larger of the element and the scale's floor
    ulp_p50: float
    ulp_p99: float
    ulp_max: float
    bias: float  #: mean sign of the differences: 0 when they lean to neither side, 1 or -1 when all do
    cosine: float  #: shown, never decisive: 0.9999 hides errors of a percent
    position: tuple[int, ...]


def special_values(actual: np.ndarray, expected: np.ndarray) -> tuple[int, ...] | None:
    """Where NaN or an infinity stands on one side and not, or not the same, on the other; None where they agree."""
    special = ~np.isfinite(actual) | ~np.isfinite(expected)
    wrong = special & ~((actual == expected) | (np.isnan(actual) & np.isnan(expected)))
    return tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.any() else None


def measure(actual: np.ndarray, reference: np.ndarray, limit: Limit) -> Metrics:
    """Every metric of ``actual`` against ``reference`` of the same shape; elements that are not finite on either side
    are left out."""
    finite = np.isfinite(actual) & np.isfinite(reference)
    if not finite.any():
        return Metrics(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, (0,) * actual.ndim)
    ours, exact = (np.where(finite, array, 0).astype(np.float64) for array in (actual, reference))
    difference = ours - exact
    size = np.abs(difference)
    scale = _scale(exact, limit)
    relative = size / scale
    norm, distance = _norm(exact), _norm(difference)
    spacing = EPSILON.get(str(actual.dtype), EPSILON["float32"])
    steps = ulp_distance(actual[finite], reference[finite].astype(actual.dtype))
    return Metrics(
        max_abs=float(size.max()),
        max_rel=float(relative.max()),
        rms_rel=distance / max(norm, limit.small * np.sqrt(exact.size), np.finfo(np.float64).tiny) if distance else 0.0,
        close=float((size[finite] <= 4 * spacing * np.maximum(np.abs(exact[finite]), limit.small)).mean()),
        ulp_p50=float(np.percentile(steps, 50)),
        ulp_p99=float(np.percentile(steps, 99)),
        ulp_max=float(steps.max()),
        bias=float(np.sign(difference[finite]).mean()),
        cosine=_cosine(ours, exact),
        position=tuple(int(i) for i in np.unravel_index(int(relative.argmax()), relative.shape)),
    )


def _norm(array: np.ndarray) -> float:
    """Euclidean; squares of float64 numbers beyond 1e154 would overflow."""
    largest = float(np.abs(array).max())
    return largest * float(np.linalg.norm(array / largest)) if largest else 0.0


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Of the angle between two arrays; 1 where both are 0, 0 where one is."""
    norms = _norm(first), _norm(second)
    if 0.0 in norms:
        return float(norms[0] == norms[1])
    return float(((first / norms[0]) * (second / norms[1])).sum())


def ulp_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Number of representable values between the two, float64; floats of one dtype."""
    width = first.dtype.itemsize
    integers: dict[int, type[np.signedinteger]] = {2: np.int16, 4: np.int32, 8: np.int64}
    signed = integers[width]
    lowest = np.int64(np.iinfo(signed).min)

    def ordered(array: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(array).view(signed).astype(np.int64)
        return np.where(bits < 0, lowest - bits, bits)

    with np.errstate(over="ignore"):
        return np.abs(ordered(first).astype(np.float64) - ordered(second).astype(np.float64))


def _scale(exact: np.ndarray, limit: Limit) -> np.ndarray:
    magnitude = np.abs(exact)
    if limit.scale != "element":
        magnitude = np.broadcast_to(magnitude.max(), exact.shape)
    return np.maximum(magnitude, limit.small or np.finfo(np.float32).tiny)
