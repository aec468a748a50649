"""Methods of `torch.Tensor` that change their tensor: the calls are those of the functions that give the new values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from common.api_mapping.arrays import Array, boolean, integers, normal, values
from common.api_mapping.row import Case, Row, arrays_of, forward_only
from common.api_mapping.rows import (
    activation,
    arithmetic,
    creation,
    indexing,
    linalg,
    pointwise,
    products,
    reduction,
    shape,
    statistics,
)
from common.api_mapping.rows.tensor import IN_PLACE

MOST = 8  #: calls of a method
#: Methods of one tensor or several that broadcast.
ELEMENTWISE = """
    abs absolute acos acosh arccos arcsin arctan asin asinh atan atanh ceil
    clamp_max clamp_min clip cos cosh deg2rad digamma erf erfc erfinv exp2 expm1
    fix floor frac lgamma log log10 log1p log2 logit nan_to_num neg
    negative rad2deg reciprocal round rsqrt sigmoid sign sin sinc sinh sqrt square
    tan tanh trunc tril triu cumprod cumsum addcdiv addcmul atan2 copysign divide
    eq floor_divide fmod ge greater greater_equal gt heaviside hypot le
    lerp less less_equal lt multiply ne not_equal pow remainder
    subtract true_divide xlogy
""".split()  # noqa: SIM905
WHOLE = """
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor
""".split()  # noqa: SIM905
LOGICAL = ["logical_and", "logical_not", "logical_or", "logical_xor"]
PLACES = values(2, 0, 2, dtype="int64")


def _products(*shapes: tuple[int, ...]) -> tuple[Case, ...]:
    """Calls of beta input + alpha product."""
    double = [normal(*shape, dtype="float64") for shape in shapes]
    return (
        forward_only(*(normal(*shape) for shape in shapes)),
        forward_only(*(normal(*shape) for shape in shapes), beta=0.5, alpha=2),
        forward_only(*double, beta=0.2),
    )


GIVEN: dict[str, tuple[Case, ...]] = {
    "addmm_": _products((3, 5), (3, 4), (4, 5)),
    "addmv_": _products((3,), (3, 4), (4,)),
    "addr_": _products((3, 4), (3,), (4,)),
    "addbmm_": _products((3, 5), (2, 3, 4), (2, 4, 5)),
    "baddbmm_": _products((2, 3, 5), (2, 3, 4), (2, 4, 5)),
    "ldexp_": (
        forward_only(normal(3, 4), integers(3, 4)),
        forward_only(normal(3, 4, dtype="float64"), integers(4)),
        forward_only(normal(0, 3), integers(3)),
    ),
    "index_add_": (
        forward_only(normal(4, 3), 0, PLACES, normal(3, 3)),
        forward_only(normal(3, 4), 1, PLACES, normal(3, 3), alpha=2.0),
        forward_only(integers(4), 0, PLACES, integers(3)),
    ),
    "index_copy_": (
        forward_only(normal(4, 3), 0, PLACES, normal(3, 3)),
        forward_only(integers(4), 0, PLACES, integers(3)),
    ),
    "masked_scatter_": (
        forward_only(normal(3, 4), boolean(3, 4), normal(12)),
        forward_only(integers(3, 4), boolean(4), integers(12)),
    ),
    "scatter_add_": (
        forward_only(normal(3, 5), 1, values(0, 2, 1, 4, 3, 3, shape=(3, 2), dtype="int64"), normal(3, 2)),
        forward_only(normal(4), 0, PLACES, normal(3)),
    ),
}


def _fits(case: Case, kinds: tuple[str, ...]) -> bool:
    """Whether the call can be made with a tensor that is changed: all in one dtype, the result of the first's shape."""
    given = list(arrays_of(case))
    first = case.arguments[0] if case.arguments else None
    return (
        isinstance(first, Array)
        and all(array.dtype == first.dtype and not array.transposed for array in given)
        and first.dtype.startswith(kinds)
        and "dtype" not in case.keywords
        and np.broadcast_shapes(*(array.shape for array in given)) == first.shape
    )


def _row(name: str, cases: tuple[Case, ...], like: Row) -> Row:
    keywords: dict[str, Any] = dict(IN_PLACE)
    limits = {part: why for part, why in like.limits.items() if any(part in str(call) for call in cases)}
    return Row(f"torch.Tensor.{name}_", (f"shim.{name}_",), cases, like.tolerance, limits=limits, **keywords)


def _rows() -> tuple[Row, ...]:
    sources = (activation, arithmetic, creation, indexing, linalg, pointwise, products, reduction, statistics, shape)
    known = {row.leaf: row for source in sources for row in source.ROWS if row.section == "torch"}
    made = []
    for names, kinds in ((ELEMENTWISE, ("float",)), (LOGICAL, ("float", "int", "bool")), (WHOLE, ("int", "bool"))):
        for name in names:
            tried = [replace(call, gradient=False) for call in known[name].cases if _fits(call, kinds)]
            made.append(_row(name, tuple({repr(call): call for call in tried}.values())[:MOST], known[name]))
    return (*made, *(_row(name[:-1], calls, known[name[:-1]]) for name, calls in GIVEN.items()))


ROWS = _rows()
