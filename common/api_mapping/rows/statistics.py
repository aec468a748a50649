"""Cumulative functions and statistics."""

from __future__ import annotations

from common.api_mapping.arrays import boolean, integers, normal, permutation, strided, uniform, values, wide
from common.api_mapping.grids import HOLES, TIES, holed, reduction
from common.api_mapping.row import case, forward_only
from common.api_mapping.rows.pointwise import float_row
from common.api_mapping.rows.reduction import FLOAT64, HALVES, LONG

SPREAD = (
    forward_only(normal(0)),
    forward_only(normal(2, 0), dim=1),
    forward_only(normal(0, 3), dim=0),
    forward_only(normal(0, 3), dim=1),
    forward_only(normal(1)),
    forward_only(normal(3, 4), dim=0, correction=5),
    forward_only(normal(3, 4, dtype="float64"), dim=1, correction=1.3),
    forward_only(uniform(3, 4, low=200.0, high=400.0, dtype="float16", fixed=True), dim=1),
    forward_only(uniform(300000, 2, low=0.0, high=1.0, fixed=True), dim=0),
    *(c for c in reduction(whole=False, infinite=False, empty=False) if "0-d" not in str(c)),
    case(normal(3, 4), unbiased=False),
    case(normal(3, 4), 1, False),
    case(normal(3, 4), dim=1, correction=2),
    case(normal(2, 3, 4), dim=(0, 1), correction=0, keepdim=True),
    case(
        values(2.0, 2.0, 2.0, 1.0, 2.0, 3.0, shape=(2, 3)), dim=1
    ),  # of equal values the gradient is 0, where a root has none
)

CUMULATIVE = (
    case(normal(3, 4), 0),
    case(normal(2, 3, 4), dim=-1),
    case(strided(normal(3, 4)), dim=1),
    case(wide(4, 5), dim=0),
    forward_only(integers(3, 4), 1),
    forward_only(boolean(3, 4), 1),
    forward_only(normal(0, 3), 1),
    case(normal(3, 4), 1, dtype=FLOAT64),
)

RUNNING = (
    case(permutation(3, 5, dtype="float32"), 1),
    case(normal(3, 4), dim=0),
    forward_only(TIES, 1),
    forward_only(integers(3, 4), -1),
    forward_only(strided(normal(3, 4)), 0),
    *holed(),
    forward_only(integers(3, 4, low=0, high=250, dtype="uint8"), 1),
    forward_only(integers(3, 4, dtype="int32"), 0),
    forward_only(normal(), 0),
    forward_only(normal(2, 0), 1),
    forward_only(normal(3, 4, dtype="float64"), 1),
)

MIDDLE = (
    case(permutation(3, 5, dtype="float32")),
    case(permutation(3, 4, dtype="float32"), 1),
    case(permutation(3, 5, dtype="float32"), dim=-1, keepdim=True),
    forward_only(integers(3, 5)),
    forward_only(values(3.0, float("nan"), 1.0)),
    forward_only(normal()),
    forward_only(normal(), 0),
    forward_only(normal(3, 4, dtype="float64"), 1),
)

ROWS = (
    float_row("std", SPREAD, "reduction", "unbiased by default"),
    float_row(
        "var",
        SPREAD,
        "reduction",
        "unbiased by default",
        legacy="Tensor.var",
        legacy_call="lambda input, dim=None, *a, **k: input.var(dim, *a, **k)",
    ),
    float_row("std_mean", SPREAD, "reduction", "unbiased by default"),
    float_row("var_mean", SPREAD, "reduction", "unbiased by default"),
    float_row("median", MIDDLE, "exact", "the lower of two middle values, one value without dim, NaN spreads"),
    float_row(
        "cumsum",
        (*CUMULATIVE, case(normal(), 0), *holed(), forward_only(LONG, 0), forward_only(HALVES, 1)),
        "reduction",
        "whole numbers sum to int64, booleans too",
    ),
    float_row(
        "cumprod",
        (
            *CUMULATIVE[:3],
            *CUMULATIVE[4:],
            *holed(),
            case(values(2.0, 0.0, 3.0, 0.0, 4.0, 0.0, 1.0, 5.0, shape=(2, 4)), 1),
        ),
        "reduction",
        "products in rounds: the kernel's gradient is NaN where one of them is 0",
    ),
    float_row("cummax", RUNNING, "exact", "(values, int64 indices), the last of equals"),
    float_row("cummin", RUNNING, "exact", "(values, int64 indices), the last of equals"),
    float_row(
        "logcumsumexp",
        (
            case(normal(3, 4), 0),
            case(wide(4, 5), dim=1),
            case(normal(3, 4, dtype="float64"), 1),
            *holed(),
            forward_only(normal(2, 0), 1),
            forward_only(normal(), 0),
            forward_only(values(float("-inf"), float("-inf"), 1.0, 2.0), 0),
        ),
        "exponential",
        "stable, NaN spreads, also behind -inf; the kernel takes NaN for a number",
        targets=("shim.logcumsumexp", "mint.logcumsumexp", "ops.logcumsumexp"),
    ),
    float_row(
        "quantile",
        (
            case(permutation(3, 5, dtype="float32"), 0.3),
            case(permutation(3, 5, dtype="float32"), 0.5, dim=1),
            case(permutation(5, dtype="float32"), values(0.1, 0.9, fixed=True), keepdim=True),
            forward_only(HOLES, 0.3, dim=0),
            forward_only(HOLES, 0.3, dim=1),
            forward_only(HOLES, 0.3),
            forward_only(normal(3, 5, dtype="float64"), 0.3, dim=1),
            forward_only(normal(), 0.3),
            *(
                forward_only(permutation(3, 5, dtype="float32"), q, dim=1, interpolation=how)
                for how in ("lower", "higher", "nearest", "midpoint")
                for q in (0.3, 0.5)
            ),
        ),
        "reduction",
        "interpolation between order statistics, NaN spreads",
        refusals=(case(normal(3), 1.5), case(normal(0), 0.5), case(normal(3), 0.5, interpolation="abc")),
    ),
    float_row(
        "diff",
        (
            case(normal(3, 5)),
            case(normal(3, 5), n=2),
            case(normal(3, 5), dim=0),
            forward_only(integers(5)),
            case(normal(3, 5), 1, 0, normal(1, 5), normal(2, 5)),
            case(normal(3, 5), n=2, append=normal(3, 1)),
            forward_only(boolean(3, 5)),
            forward_only(normal(3, 2), n=3),
            case(normal(3), 0),
        ),
        "rounding",
        "MindSpore's own does not compile in graph mode",
        targets=("shim.diff", "mint.diff", "ops.diff"),
        refusals=(case(normal(1, 3), -1), case(normal())),
    ),
    float_row(
        "bincount",
        (
            forward_only(integers(9, low=0, high=5)),
            forward_only(integers(9, low=0, high=5, dtype="int32"), minlength=8),
            forward_only(integers(6, low=0, high=5), uniform(6, low=0, high=1)),
            forward_only(integers(6, low=0, high=5), uniform(6, low=0, high=1, dtype="float64")),
            forward_only(integers(6, low=0, high=5), integers(6)),
            forward_only(integers(0, low=0, high=5), minlength=3),
        ),
        "reduction",
        "int64 counts, float64 sums of whole weights",
        refusals=(case(values(1, -1, dtype="int64")), case(integers(2, 2, low=0, high=3)), case(normal(3))),
        legacy="numpy.bincount",
    ),
    float_row(
        "histc",
        (
            forward_only(uniform(20, low=-2, high=2), bins=4, min=-2, max=2),
            forward_only(uniform(20, low=-2, high=2), 5, -1, 1),
            forward_only(uniform(20, low=0, high=9)),
            forward_only(values(1.0, 2.0, 2.0, 3.0), 3),
            forward_only(uniform(20, low=-2, high=2), 5, 1, 1),
            forward_only(HOLES, 4, -3, 2),
            forward_only(normal(0), 4),
            forward_only(normal(5, 0), 3, 0, 10),
            forward_only(values(2.0, 2.0), 3),
            forward_only(values(2.0, 2.0), 3, 2, 2),
            forward_only(normal(), 4, -1, 1),
            forward_only(uniform(20, low=-2, high=2, dtype="float64"), bins=4, min=-2, max=2),
        ),
        "exact",
        "in the dtype of the input, whatever its size; NaN is left out",
        targets=("shim.histc", "mint.histc", "ops.histc"),
        refusals=(case(HOLES, 3), case(normal(3), 0), case(normal(3), 3, 2, 1), case(integers(3), 3)),
        legacy="ops.HistogramFixedWidth",
        legacy_call="lambda input, bins=100, min=0, max=0: ops.HistogramFixedWidth(bins)(input, Tensor([min, max], ms.float32))",
    ),
    float_row(
        "cov",
        (case(normal(3, 6)), case(normal(3, 6), correction=0), forward_only(normal(3, 6, dtype="float16", fixed=True))),
        "reduction",
        "in the dtype of the rows",
        refusals=(case(normal(5), fweights=values(1, 1, -1, 1, 1, dtype="int64")),),
    ),
)
