"""Reductions."""

from __future__ import annotations

from common.api_mapping.arrays import DType, boolean, integers, normal, permutation, strided, uniform, values, wide
from common.api_mapping.grids import HOLES, INFINITE, TIES, holed, reduction
from common.api_mapping.row import case, forward_only
from common.api_mapping.rows.pointwise import float_row

FLOAT64, INT64, FLOAT32 = DType("float64"), DType("int64"), DType("float32")

EXTREMES = (
    forward_only(boolean(3, 4)),
    forward_only(boolean(3, 4), 1),
    forward_only(normal(3, 4)),
    case(permutation(3, 4, dtype="float32")),
    case(permutation(3, 4, dtype="float32"), 1),
    case(normal(3, 4), dim=0),
    case(normal(2, 3, 4), dim=-2, keepdim=True),
    case(strided(normal(3, 4)), -1, True),
    forward_only(TIES, 1),
    forward_only(integers(3, 4)),
    forward_only(integers(3, 4), dim=0),
    forward_only(integers(3, 4, dtype="int32"), 1),
    forward_only(normal()),
    forward_only(INFINITE),
    forward_only(INFINITE, 0),
)

PAIRED = (case(normal(3, 4), normal(3, 4)), case(normal(3, 4), normal(4)))

AXES = (
    case(normal(3, 4), 1),
    case(normal(3, 4), dim=0),
    case(normal(2, 3, 4), dim=(0, 2)),
    case(normal(2, 3, 4), dim=(-1,), keepdim=True),
    case(TIES, 1),
    forward_only(integers(3, 4), 1),
    case(normal(3, 4), ()),
    *holed(),
    forward_only(HOLES),
    forward_only(normal(2, 0, 3), 0),
    forward_only(normal(0, 3), dim=(1,), keepdim=True),
    forward_only(normal(), 0),
    forward_only(integers(3, 4, low=0, high=250, dtype="uint8"), 0),
    forward_only(boolean(3, 4), 1),
    forward_only(normal(3, 4, dtype="float16", fixed=True), 1),
    forward_only(normal(3, 4, dtype="float64"), 0),
)

NO_EXTREME = (case(normal(0)), case(normal(2, 0), 1))

PLACES = (
    forward_only(normal(3, 4)),
    forward_only(TIES),
    forward_only(TIES, 1),
    forward_only(normal(2, 3, 4), dim=-2, keepdim=True),
    forward_only(strided(normal(3, 4)), dim=0),
    forward_only(integers(3, 4), 1),
    forward_only(integers(3, 4, dtype="int32"), dim=-1),
    forward_only(normal()),
    forward_only(values(1.0, float("nan"), 3.0), 0),
)

LOGIC = (
    forward_only(boolean(3, 4)),
    forward_only(boolean(3, 4), 1),
    forward_only(boolean(2, 3, 4), dim=-2, keepdim=True),
    forward_only(boolean(0, 3)),
    forward_only(integers(3, 4, low=-1, high=2), dim=0),
    forward_only(INFINITE),
    forward_only(strided(boolean(3, 4)), 0),
)

TRUTH = (
    forward_only(HOLES, 1),
    forward_only(integers(3, 4, low=0, high=2, dtype="uint8"), 1),
    forward_only(integers(low=0, high=2, dtype="uint8")),
    forward_only(boolean(2, 0), 1),
    forward_only(normal(2, 0), 0),
)

NOTHING = (normal(2, 0), normal(0, 3), normal(2, 0, 3))

BYTES = integers(3, 4, low=0, high=250, dtype="uint8")

HALVES = normal(3, 4, dtype="float16", fixed=True)

LONG = uniform(1000000, low=0.0, high=1.0, fixed=True)  #: where sums in float32 lose digits

TALL = uniform(500000, 2, low=0.0, high=1.0, fixed=True)  #: whose columns are not contiguous

LARGE = uniform(3, 4, low=200.0, high=400.0, dtype="float16", fixed=True)  #: whose squares are beyond float16

ZERO_ROW = values(0.0, 0.0, 0.0, 3.0, -4.0, 2.0, shape=(2, 3))  #: its norm's gradient is 0 in torch

NORMS = (
    case(normal(3, 4)),
    case(normal(3, 4), 2),
    case(normal(3, 4), p=1),
    case(normal(3, 4), p=3, dim=1),
    case(normal(3, 4), 2, 0, True),
    case(normal(2, 3, 4), p=2, dim=(1, 2)),
    case(wide(4, 5), "fro"),
    case(normal(3, 4), 0.5, 1),
    forward_only(normal(3, 4), float("inf"), 1),
    forward_only(normal(3, 4), float("-inf")),
    forward_only(normal(3, 4), 0),
    case(strided(normal(3, 4)), dim=1),
    case(normal(4), dtype=FLOAT64),
    case(normal(3, 4, dtype="float64"), p=3, dim=1),
    *(case(ZERO_ROW, p=p, dim=1) for p in (2, 3, 1.5, -1)),
    *(forward_only(x, p, 1) for p in (2, 1, 0, 3, 0.5) for x in NOTHING[:2]),
    forward_only(normal(0)),
    *(forward_only(HOLES, p, 1) for p in (2, 1, 3, float("inf"), float("-inf"))),
    *(forward_only(LARGE, p, 1) for p in (2, 3, 6)),
    forward_only(LONG),
    forward_only(TALL, 2, 0),
    forward_only(normal(), 2),
)

NO_NORM = (
    case(normal(0), float("inf")),
    case(normal(2, 0), float("-inf"), 1),
    case(normal(2, 0), -1, 1),
    case(integers(3)),
)

DTYPES = (
    forward_only(integers(3, 4), dtype=FLOAT32),
    case(normal(3, 4), 1, dtype=FLOAT64),
    forward_only(normal(3, 4), dtype=FLOAT64),
)

ROWS = (
    float_row(
        "sum",
        (
            *reduction(),
            *DTYPES,
            case(normal(3, 4), ()),
            *holed(),
            *(forward_only(x, 1) for x in NOTHING),
            *(forward_only(x) for x in (LONG, HALVES, BYTES)),
            forward_only(TALL, 0),
        ),
        "reduction",
        "0 for nothing, where the kernel returns what happens to be in memory",
    ),
    float_row(
        "mean",
        (
            *reduction(whole=False),
            *DTYPES[:2],
            *holed(),
            *(forward_only(x, 1) for x in NOTHING),
            forward_only(LONG),
            forward_only(HALVES, 1),
            forward_only(TALL, 0),
        ),
        "reduction",
        "the mean of nothing is NaN",
        refusals=(case(integers(3)),),
    ),
    float_row(
        "prod",
        (
            *reduction(several=False, infinite=False),
            case(values(2.0, 0.0, 3.0)),
            case(values(0.0, 0.0, 3.0)),
            case(normal(3, 4), 1, dtype=FLOAT64),
            *holed(),
            *(forward_only(x, 1) for x in NOTHING),
            *(forward_only(x) for x in (HALVES, integers(3, 4, low=0, high=4, dtype="uint8"), integers(2, 0))),
        ),
        "reduction",
        "1 for nothing, where the kernel returns what happens to be in memory",
        targets=("shim.prod", "mint.prod", "ops.prod"),
    ),
    float_row(
        "nansum",
        (
            case(normal(3, 4)),
            case(normal(3, 4), 1),
            forward_only(values(1.0, float("nan"), 3.0)),
            forward_only(integers(3, 4)),
            *holed(),
            *(forward_only(x, 1) for x in NOTHING),
            forward_only(TALL, 0),
        ),
        "reduction",
        "MindSpore's own does not compile in graph mode",
        targets=("shim.nansum", "mint.nansum", "ops.nansum"),
    ),
    float_row(
        "nanmean",
        (
            case(normal(3, 4)),
            case(normal(3, 4), dim=1),
            forward_only(values(1.0, float("nan"), 3.0)),
            forward_only(values(float("nan"))),
            *holed(),
            *(forward_only(x, 1) for x in NOTHING),
            forward_only(TALL, 0),
        ),
        "reduction",
        "NaN is left out",
    ),
    float_row(
        "amax",
        AXES,
        "exact",
        "equals share the gradient, NaN spreads",
        targets=("shim.amax", "mint.amax", "ops.amax"),
        refusals=NO_EXTREME,
    ),
    float_row(
        "amin",
        AXES,
        "exact",
        "equals share the gradient, NaN spreads",
        targets=("shim.amin", "mint.amin", "ops.amin"),
        refusals=NO_EXTREME,
    ),
    float_row(
        "aminmax",
        (
            case(normal(3, 4)),
            case(normal(3, 4), dim=1),
            case(normal(3, 4), dim=0, keepdim=True),
            forward_only(integers(3, 4)),
            forward_only(HOLES, dim=0),
            forward_only(HOLES, dim=1),
            forward_only(HOLES),
            forward_only(normal(), dim=0),
            forward_only(BYTES, dim=1),
        ),
        "exact",
        "smallest and largest, NaN spreads",
        refusals=(case(normal(0)), case(normal(2, 0), dim=1)),
    ),
    float_row(
        "max", (*EXTREMES, *PAIRED), "exact", "one value without dim, (values, int64 indices) with it, NaN spreads"
    ),
    float_row(
        "min",
        (*EXTREMES, *PAIRED),
        "exact",
        "one value without dim, (values, int64 indices) with it, NaN spreads",
        legacy="ops.ArgMinWithValue",
        legacy_call="lambda input, dim=0, keepdim=False: ops.ArgMinWithValue(dim, keepdim)(input)",
    ),
    float_row(
        "argmax",
        PLACES,
        "exact",
        "int64, the first of equals, NaN is largest",
        legacy="ops.Argmax",
        legacy_call="lambda input, dim=-1, keepdim=False: ops.Argmax(dim)(input)",
    ),
    float_row(
        "argmin",
        PLACES,
        "exact",
        "int64, the first of equals, NaN is smallest",
        legacy="ops.Argmin",
        legacy_call="lambda input, dim=-1, keepdim=False: ops.Argmin(dim)(input)",
    ),
    float_row(
        "all",
        (*LOGIC, *TRUTH),
        "exact",
        "numbers count as true unless 0; uint8 stays uint8",
        targets=("shim.all", "mint.all", "ops.all"),
    ),
    float_row("any", (*LOGIC, *TRUTH), "exact", "numbers count as true unless 0; uint8 stays uint8"),
    float_row(
        "count_nonzero",
        (*LOGIC[:2], forward_only(INFINITE), forward_only(integers(2, 3, 4, low=-1, high=2), dim=(0, 2))),
        "exact",
        "int64",
    ),
    float_row(
        "logsumexp",
        (
            *(
                case(normal(3, 4), 1),
                case(wide(4, 5), dim=0, keepdim=True),
                case(normal(2, 3, 4), (0, 2)),
                case(wide(3, 4), -1),
                forward_only(INFINITE, 0),
            ),
            *holed(),
            *(forward_only(x, 1) for x in NOTHING),
            forward_only(integers(3, 4), 1),
            forward_only(normal(), 0),
            forward_only(TALL, 0),
            forward_only(
                values(*[float("-inf")] * 3, 1.0, float("-inf"), 2.0, float("inf"), 1.0, 0.0, shape=(3, 3)), 1
            ),
        ),
        "exponential",
        "of nothing but -inf it is -inf, where the kernel returns NaN",
    ),
    float_row(
        "norm",
        NORMS,
        "reduction",
        "any p, one value by default, NaN spreads; float16 is computed in float32",
        refusals=NO_NORM,
        legacy="ops.LpNorm",
        legacy_call="lambda input, p=2, dim=None, keepdim=False: ops.LpNorm(list(range(input.ndim)) if dim is None else dim, p, keepdim)(input)",
    ),
)
