"""Grids of calls shared by families of rows: normal, wide, edge, integer, boolean, empty, 0-d, broadcast and strided
inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from common.api_mapping.arrays import Array, boolean, integers, normal, strided, uniform, values, wide
from common.api_mapping.row import Case, case, forward_only

__all__ = ["EDGES", "HOLES", "INFINITE", "TIES", "binary", "comparison", "holed", "reduction", "unary"]

EDGES = values(0.0, -0.0, 1e-30, -1e-30, 1e-6, -1e-6, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
INFINITE = values(float("inf"), float("-inf"), float("nan"), 0.0, -0.0, 1e30, -1e30)
NAN, INF = float("nan"), float("inf")
HOLES = values(  #: NaN first, in the middle, last, beside infinities, everywhere and nowhere
    NAN, 1.0, 2.0, -3.0,
    1.0, NAN, INF, -INF,
    2.0, 0.0, -1.0, NAN,
    NAN, NAN, NAN, NAN,
    -INF, -INF, INF, 1.0,
    -INF, -INF, -INF, -INF,
    shape=(6, 4),
)  # fmt: skip
TIES = values(2.0, -1.0, 2.0, 0.0, -1.0, 2.0, 0.0, -1.0, 2.0, 2.0, 0.0, 0.0, shape=(3, 4))


def holed(*arguments: Any, **keywords: Any) -> tuple[Case, ...]:
    """Calls of a reduction of one tensor that holds NaN, along each axis."""
    return (forward_only(HOLES, 0, *arguments, **keywords), forward_only(HOLES, 1, *arguments, **keywords))


def unary(
    *arguments: Any,
    domain: tuple[float, float] | None = None,
    edges: Array | None = EDGES,
    infinite: bool = True,
    whole: bool = True,
    empty: bool = True,
    kinks: bool = False,
    **keywords: Any,
) -> tuple[Case, ...]:
    """Calls of an elementwise function of one tensor.

    Args:
        arguments, keywords: what follows the tensor.
        domain: interval of the inputs; without one they are normal and wide.
        edges: special finite values, with gradients unless ``kinks`` says that no gradient is defined there.
        infinite: try infinities and NaN, forward only.
        whole: try integers and booleans.
    """
    inside = uniform(3, 4, low=domain[0], high=domain[1]) if domain else normal(3, 4)
    tried = [case(inside, *arguments, **keywords), case(strided(inside), *arguments, **keywords)]
    if not domain:
        tried.append(case(wide(4, 5), *arguments, **keywords))
    double = uniform(3, 4, low=domain[0], high=domain[1], dtype="float64") if domain else normal(3, 4, dtype="float64")
    tried.append(case(double, *arguments, **keywords))
    scalar = uniform(low=domain[0], high=domain[1]) if domain else normal()
    tried.append(case(scalar, *arguments, **keywords))
    if empty:
        tried.append(forward_only(normal(0, 3), *arguments, **keywords))
    if edges is not None:
        tried.append((forward_only if kinks else case)(edges, *arguments, **keywords))
    if infinite:
        tried.append(forward_only(INFINITE, *arguments, **keywords))
    if whole:
        low, high = (max(-5, int(domain[0])), max(int(domain[1]), int(domain[0]) + 1) + 1) if domain else (-5, 6)
        tried.append(forward_only(integers(3, 4, low=low, high=high), *arguments, **keywords))
        tried.append(forward_only(integers(3, 4, low=low, high=high, dtype="int32"), *arguments, **keywords))
    return tuple(tried)


def binary(
    low: float | None = None,
    high: float = 3.0,
    whole: bool = True,
    numbers: bool = True,
    infinite: bool = True,
    mixed: bool = True,
    nonzero: bool = False,
    **keywords: Any,
):
    """Calls of an elementwise function of two tensors; from [low, high) where a domain is needed; ``nonzero`` keeps
    whole second operands away from 0."""

    def some(*shape: int) -> Array:
        return normal(*shape) if low is None else uniform(*shape, low=low, high=high)

    whole_low = 1 if nonzero or low is not None else -5
    tried = [
        case(some(3, 4), some(3, 4), **keywords),
        case(some(3, 1), some(1, 4), **keywords),
        case(some(2, 3, 4), some(4), **keywords),
        case(strided(some(3, 4)), some(3, 4), **keywords),
        case(some(), some(3), **keywords),
        case(some(), some(), **keywords),
        forward_only(normal(0, 3), normal(3), **keywords),
    ]
    if low is None:
        tried.append(case(wide(4, 5), wide(4, 5), **keywords))
    if numbers:
        tried.append(case(some(3, 4), 2.5, **keywords))
        tried.append(case(some(3, 4), 2, **keywords))
        tried.append(forward_only(replace(some(3, 4), dtype="float64"), 0.3, **keywords))
    if whole:
        tried.append(forward_only(integers(3, 4), integers(3, 4, low=whole_low), **keywords))
        tried.append(forward_only(integers(3, 4, dtype="int32"), integers(4, low=whole_low, dtype="int32"), **keywords))
    if mixed:
        tried.append(forward_only(some(3, 4), integers(3, 4, low=whole_low), **keywords))
    if infinite:
        tried.append(
            forward_only(values(*INFINITE.data, shape=(7, 1)), values(*INFINITE.data, shape=(1, 7)), **keywords)
        )
    return tuple(tried)


def comparison(numbers: bool = True) -> tuple[Case, ...]:
    """Calls of a comparison, which has no gradient."""
    tried = [
        forward_only(normal(3, 4), normal(3, 4)),
        forward_only(TIES, TIES),
        forward_only(TIES, values(2.0, -1.0, 0.0, 0.0)),
        forward_only(strided(TIES), strided(TIES)),
        forward_only(normal(3, 1), normal(1, 4)),
        forward_only(normal(), normal(3)),
        forward_only(normal(0, 3), normal(3)),
        forward_only(integers(3, 4), integers(3, 4)),
        forward_only(integers(3, 4, dtype="int32"), integers(4, dtype="int32")),
        forward_only(boolean(3, 4), boolean(3, 4)),
        forward_only(normal(3, 4), integers(3, 4)),
        forward_only(values(*INFINITE.data, shape=(7, 1)), values(*INFINITE.data, shape=(1, 7))),
    ]
    if numbers:
        tried += [forward_only(TIES, 2.0), forward_only(integers(3, 4), 2), forward_only(integers(3, 4), 0.5)]
    return tuple(tried)


def reduction(
    *,
    dims: bool = True,
    several: bool = True,
    whole: bool = True,
    empty: bool = True,
    infinite: bool = True,
    every: bool = True,
    **keywords: Any,
):
    """Calls of a reduction: over everything (``every``), one axis, several, kept axes."""
    tried = []
    if every:
        tried += [
            case(normal(3, 4), **keywords),
            case(normal(3, 4, dtype="float64"), **keywords),
            case(strided(normal(3, 4)), **keywords),
            case(normal(), **keywords),
            case(wide(4, 5), **keywords),
        ]
    if dims:
        tried += [
            case(normal(3, 4), dim=0, **keywords),
            case(normal(3, 4), 1, **keywords),
            case(normal(2, 3, 4), dim=-2, keepdim=True, **keywords),
            case(strided(normal(3, 4)), -1, True, **keywords),
        ]
    if several:
        tried += [
            case(normal(2, 3, 4), dim=(0, 2), **keywords),
            case(normal(2, 3, 4), (0, -1), keepdim=True, **keywords),
        ]
    if whole:
        tried += [
            forward_only(integers(3, 4), **keywords),
            forward_only(integers(3, 4, dtype="int32"), **keywords),
            forward_only(boolean(3, 4), **keywords),
        ]
        if empty and every:
            tried += [
                forward_only(integers(0, 3), **keywords),
                forward_only(integers(2, 0), 0, **keywords) if dims else forward_only(boolean(0, 3), **keywords),
            ]
        if dims:
            tried += [forward_only(integers(3, 4), dim=1, **keywords)]
    if empty and every:
        tried.append(forward_only(normal(0, 3), **keywords))
        if dims:
            tried.append(forward_only(normal(2, 0), dim=0, **keywords))
    if infinite and every:
        tried.append(forward_only(INFINITE, **keywords))
    return tuple(tried)
