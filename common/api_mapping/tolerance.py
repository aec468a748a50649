"""What counts as equal: one table of tolerance classes, and the comparison of two results against a float64 reference.
 An error is |value - reference| / max(|reference|, floor). For class ``tensor`` scales, |reference| is the largest of
the tensor, since sums cancel. NaN and infinity must stand at torch's places; dtype, shape and arity are part of the
contract.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = ["CLASSES", "GRADIENT", "Comparison", "Limit", "Result", "arrangement", "compare", "frozen"]


@dataclass(frozen=True)
class Limit:
    """Largest relative error, what it is relative to, and why."""

    relative: float
    scale: str  #: element or tensor
    why: str
    floor: float = 1e-6  #: below it errors are absolute


CLASSES = {
    "exact": Limit(0.0, "element", "no arithmetic: the bits of torch's result, where 0 may be -0"),
    "rounding": Limit(6e-7, "element", "a few roundings: 5 units in the last place of float32"),
    "transcendental": Limit(4e-6, "element", "library functions differ by some units in the last place", floor=1e-3),
    "exponential": Limit(
        4e-5, "element", "MindSpore's float32 exp on the CPU is off by up to 366 units in the last place", floor=1e-4
    ),
    "reduction": Limit(4e-6, "tensor", "sums in another order"),
    "decomposition": Limit(
        2e-5, "tensor", "factorizations amplify rounding by the condition of the matrix, below 100 here"
    ),
    "steps": Limit(2e-5, "tensor", "twenty optimizer steps, of which each rounds the parameters"),
}
#: Class of the gradient, by class of the value: chains of products, relative to the largest element of the gradient.
GRADIENT = {
    "exact": Limit(4e-6, "tensor", "sums over broadcast axes"),
    "rounding": Limit(4e-6, "tensor", "products and sums over broadcast axes"),
    "transcendental": Limit(8e-6, "tensor", "two library functions"),
    "exponential": Limit(8e-5, "tensor", "products of two exponentials"),
    "reduction": Limit(8e-6, "tensor", "sums in another order"),
    "decomposition": Limit(1e-4, "tensor", "a second factorization"),
    "steps": Limit(2e-5, "tensor", "not used"),
}
DOUBLE = 1e-8  #: a float64 result must be this much nearer; the unit round-off is 2e-9 of float32's
BACKEND = 2.0**13  #: a float16 result may be this much farther: the ratio of the unit round-offs


@dataclass(frozen=True)
class Result:
    """What a call gave: arrays or plain values, their arrangement, and gradients of the differentiable inputs."""

    outputs: tuple[Any, ...]
    layout: str  #: tensor, a plain type's name, or tuple of n
    gradients: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """How one result compares. ``problem`` is None where everything agrees."""

    problem: str | None
    identical: bool = False  #: equal to torch's float32 result to the bit, gradients too
    error: float = 0.0  #: of the values against float64
    torch_error: float = 0.0  #: torch's own
    gradient_error: float = 0.0
    torch_gradient_error: float = 0.0


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, list | tuple) else isinstance(value, bool | int | float)


def frozen(value: Any) -> Any:
    """A plain value with tuples for lists, which compare alike."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def arrangement(found: Any, tensor: type) -> tuple[list[Any], str]:
    """What a call returned as a flat list, and how it was arranged. Made of Python numbers and nothing else, as a shape
    is, it is one value."""
    if isinstance(found, list | tuple) and not _is_plain(found):
        parts = [arrangement(item, tensor) for item in found]
        return [leaf for leaves, _ in parts for leaf in leaves], f"({', '.join(layout for _, layout in parts)})"
    kind = "tensor" if isinstance(found, tensor) else type(frozen(found)).__name__
    return [found], kind


def compare(actual: Result, expected: Result, reference: Result, tolerance: str) -> Comparison:
    """Compare with torch's float32 result (arrangement, dtypes, special values) and its float64 result (values)."""
    if actual.layout != expected.layout:
        return Comparison(f"returns {actual.layout}, torch {expected.layout}")
    if len(actual.gradients) != len(expected.gradients):
        return Comparison(f"{len(actual.gradients)} gradients, torch {len(expected.gradients)}")
    parts = [
        ("output", *trio, CLASSES[tolerance])
        for trio in zip(actual.outputs, expected.outputs, reference.outputs, strict=True)
    ]
    parts += [
        ("gradient", *trio, GRADIENT[tolerance])
        for trio in zip(actual.gradients, expected.gradients, reference.gradients, strict=True)
    ]
    worst = {"output": [0.0, 0.0], "gradient": [0.0, 0.0]}
    identical = True
    for number, (part, ours, torchs, exact, limit) in enumerate(parts):
        name = f"{part} {number if part == 'output' else number - len(actual.outputs)}"
        problem, error, torch_error, same = _compare_one(ours, torchs, exact, limit)
        if problem:
            return Comparison(f"{name}: {problem}", False, *worst["output"], *worst["gradient"])
        worst[part] = [max(worst[part][0], error), max(worst[part][1], torch_error)]
        identical &= same
    return Comparison(None, identical, *worst["output"], *worst["gradient"])


def _compare_complex(
    ours: np.ndarray, torchs: np.ndarray, exact: np.ndarray, limit: Limit
) -> tuple[str | None, float, float, bool]:
    """Both parts of each number, whose errors are relative to its magnitude."""
    ours, torchs, parts = (np.stack([array.real, array.imag], -1) for array in (ours, torchs, exact))
    return _compare_one(ours, torchs, parts, limit, np.repeat(np.abs(exact)[..., None], 2, -1))


def _compare_one(
    ours: Any, torchs: Any, exact: Any, limit: Limit, size: np.ndarray | None = None
) -> tuple[str | None, float, float, bool]:
    """(problem, error, torch's error, identical) of one array or plain value; errors are relative to ``size``, by
    default that of ``exact``."""
    if not isinstance(torchs, np.ndarray):
        return (None if ours == torchs else f"{ours!r}, torch {torchs!r}"), 0.0, 0.0, ours == torchs
    if ours.dtype != torchs.dtype:
        return f"dtype {ours.dtype}, torch {torchs.dtype}", 0.0, 0.0, False
    if ours.shape != torchs.shape:
        return f"shape {ours.shape}, torch {torchs.shape}", 0.0, 0.0, False
    if np.iscomplexobj(torchs):
        return _compare_complex(ours, torchs, exact, limit)
    if not np.issubdtype(torchs.dtype, np.inexact):
        wrong = ours != torchs
        return (_first(wrong, ours, torchs, torchs) if wrong.any() else None), 0.0, 0.0, not wrong.any()
    special = ~np.isfinite(torchs) | ~np.isfinite(ours)
    wrong = special & ~((ours == torchs) | (np.isnan(ours) & np.isnan(torchs)))
    if wrong.any():
        return _first(wrong, ours, torchs, exact), 0.0, 0.0, False
    equal = bool(np.array_equal(ours, torchs, equal_nan=True))
    identical = equal and not ((ours == 0) & (np.signbit(ours) != np.signbit(torchs))).any()
    if limit.relative == 0.0:
        return (
            (None, 0.0, 0.0, identical)
            if equal
            else (_first(~special & (ours != torchs), ours, torchs, exact), 0.0, 0.0, False)
        )
    usable = ~special & np.isfinite(exact)
    if not usable.any():
        return None, 0.0, 0.0, identical
    if torchs.dtype == np.float64:
        limit = replace(limit, relative=limit.relative * DOUBLE)
    elif torchs.dtype == np.float16:
        limit = replace(limit, relative=limit.relative * BACKEND)
    size = np.abs(exact) if size is None else size
    magnitude = size if limit.scale == "element" else np.full(exact.shape, size[usable].max())
    scale = np.maximum(np.where(usable, magnitude, 1.0), limit.floor)
    errors = (
        np.where(usable, np.abs(np.where(usable, ours, 0).astype(np.float64) - np.where(usable, exact, 0)), 0.0) / scale
    )
    torch_errors = (
        np.where(usable, np.abs(np.where(usable, torchs, 0).astype(np.float64) - np.where(usable, exact, 0)), 0.0)
        / scale
    )
    error, torch_error = float(errors.max()), float(torch_errors.max())
    if error > limit.relative and error > 2.0 * torch_error:
        return (
            _first(errors == error, ours, torchs, exact) + f", error {error:.2g} exceeds {limit.relative:g}",
            error,
            torch_error,
            False,
        )
    return None, error, torch_error, identical


def _first(where: np.ndarray, ours: np.ndarray, torchs: np.ndarray, exact: Any) -> str:
    index = tuple(int(i) for i in np.argwhere(where)[0])
    reference = f" (float64 {exact[index]:.9g})" if np.issubdtype(torchs.dtype, np.floating) else ""
    return f"at {list(index)}: {ours[index]!s}, torch {torchs[index]!s}{reference}"
