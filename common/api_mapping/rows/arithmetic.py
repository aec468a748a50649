"""Elementwise functions of two or more tensors, and comparisons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from common.api_mapping.arrays import boolean, integers, normal, strided, uniform, values, wide
from common.api_mapping.grids import INFINITE, TIES, binary, comparison
from common.api_mapping.row import Row, alias, case, forward_only
from common.api_mapping.rows.pointwise import NO_SUM, float_row, plain

BITWISE = (
    forward_only(integers(3, 4), integers(3, 4)),
    forward_only(integers(3, 4, dtype="int32"), integers(4, dtype="int32")),
    forward_only(boolean(3, 4), boolean(3, 4)),
    forward_only(strided(integers(3, 4)), integers(3, 1)),
    forward_only(integers(3, 4), 6),
    forward_only(integers(0, 4), integers(4)),
)
SHIFTS = (
    forward_only(integers(3, 4), integers(3, 4, low=0, high=5)),
    forward_only(integers(3, 4, dtype="int32"), integers(4, low=0, high=5, dtype="int32")),
    forward_only(integers(3, 4), 2),
    forward_only(integers(3, 4), -1),
    forward_only(integers(4, 6), values(-64, -1, 1, 62, 63, 64, dtype="int64")),
    forward_only(integers(4, 5, dtype="int32"), values(-1, 30, 31, 32, 40, dtype="int32")),
    forward_only(integers(4, 3, low=0, high=200, dtype="uint8"), values(3, 7, 8, dtype="uint8")),
)
ORIGIN = (
    case(values(0.0, 0.0, 1.0), values(0.0, 2.0, 0.0)),
    forward_only(values(0.0, -0.0, 0.0, -0.0), values(-0.0, -0.0, 0.0, 0.0)),
)
NO_LOG = case(values(0.0, 0.0, 2.0), values(0.0, 3.0, 1.0, fixed=True))
LOGICAL = (*BITWISE[:4], BITWISE[5], forward_only(normal(3, 4), boolean(3, 4)), forward_only(TIES, TIES))
WEAK = (  # a 0-d tensor does not widen one with axes
    forward_only(uniform(3, 4, low=1, high=3), uniform(low=1, high=3, dtype="float64")),
    forward_only(integers(low=1, dtype="int64"), integers(3, 4, low=1, dtype="int32")),
    forward_only(uniform(3, 4, low=1, high=3), uniform(3, 4, low=1, high=3, dtype="float64")),
    forward_only(integers(3, 4, low=1), uniform(low=1, high=3)),
)
ALPHA = (
    case(normal(3, 4), normal(3, 4), alpha=2),
    case(normal(3, 4), normal(4), alpha=0.5),
    forward_only(integers(3, 4), integers(3, 4), alpha=3),
    case(normal(3, 4), 1.5, alpha=2),
    case(normal(3, 4, dtype="float64"), normal(4, dtype="float64"), alpha=0.3),
)
ROUNDED = tuple(
    forward_only(x, y, rounding_mode=mode)
    for mode in ("floor", "trunc")
    for x, y in (
        (wide(4, 5), uniform(4, 5, low=1, high=3)),
        (integers(3, 4, low=-9, high=10), integers(3, 4, low=1, high=4)),
        (integers(3, 4, low=-9, high=10), -3),
        (wide(4, 5), -2.5),
    )
)
LARGE = (  # of which the rounded quotient loses what is left
    forward_only(*[uniform(50, low=1, high=20, dtype="float64")] * 2),
    forward_only(values(1e20, -1e30, 3e38, 12502.25), values(3.0, 7.0, 1.7, 0.1)),
    forward_only(
        values(1e20, -1e30, 1.9e11, 1e308, dtype="float64"), values(3.0, 0.7, 1.5e-23, 3e307, dtype="float64")
    ),
)
QUOTIENTS = (
    forward_only(wide(4, 5), wide(4, 5)),
    forward_only(wide(4, 5), 3.0),
    forward_only(wide(4, 5), -2.5),
    forward_only(strided(wide(4, 5)), uniform(1, 5, low=0.5, high=3.0)),
    forward_only(integers(3, 4, low=-9, high=10), integers(3, 4, low=1, high=4)),
    forward_only(integers(3, 4, low=-9, high=10), -4),
    forward_only(integers(3, 4, low=-9, high=10, dtype="int32"), integers(4, low=1, high=4, dtype="int32")),
    forward_only(integers(3, 4, low=-9, high=10), uniform(3, 4, low=1, high=3)),
    forward_only(normal(0, 3), normal(3)),
    *WEAK,
)
SPECIAL_QUOTIENTS = (
    forward_only(values(5.0, -5.0, 5.0, -5.0), values(float("inf"), float("inf"), float("-inf"), float("-inf"))),
    forward_only(values(5.0, 0.0, float("inf"), float("nan")), values(0.0, 0.0, 2.0, 2.0)),
)
NAN = float("nan")
ZERO = values(1.0, 0.0, dtype="int64")
BY_ZERO = (case(integers(2), ZERO), case(integers(2), 0))
GRAPH = "integers divided by 0 are refused, in a graph they give the lowest or the largest integer"
FIRST_A_NUMBER = (case(2, integers(3)), case(2, 3))
BETWEEN = (case(2, integers(3)), case(integers(3), 2))
FEXTREMA = (
    *binary(numbers=False),
    *WEAK,
    case(TIES, values(2.0, -1.0, 0.0, 0.0)),
    case(normal(3, 1, dtype="float64"), normal(4, dtype="float64")),
)
EXTREMA = (
    forward_only(boolean(3, 4), boolean(4)),
    *binary(numbers=False),
    *WEAK,
    case(TIES, values(2.0, -1.0, 0.0, 0.0)),
)


def legacy(primitive: str) -> dict[str, str]:
    """The 2022 target, a primitive to be made and called."""
    return {"legacy": f"ops.{primitive}", "legacy_call": f"lambda input, other: ops.{primitive}()(input, other)"}


Z = normal(3, 4, dtype="complex64")
COMPLEX = (
    case(Z, Z),
    case(Z, uniform(4, low=0.5, high=3.0)),
    case(normal(3, 4), Z),
    case(strided(Z), Z),
    case(Z, 2.5),
    case(Z, normal(dtype="complex128")),
    case(normal(2, 3, dtype="complex128"), normal(3, dtype="complex64")),
    forward_only(normal(0, 3, dtype="complex64"), normal(3)),
    forward_only(Z, integers(4, low=1)),
)

_ADD = float_row(
    "add",
    (*binary(), *ALPHA, *WEAK, *COMPLEX, case(Z, Z, alpha=2)),
    "rounding",
    "0-d tensors do not widen; Python numbers keep their digits beside float64 tensors",
    **legacy("Add"),
)
_SUB = float_row(
    "sub",
    (*binary(), *ALPHA, *WEAK, *COMPLEX),
    "rounding",
    "0-d tensors do not widen; Python numbers keep their digits beside float64 tensors",
)
_MUL = float_row(
    "mul", (*binary(), *COMPLEX), "rounding", "Python numbers keep their digits beside float64 tensors", **legacy("Mul")
)
_DIV = float_row(
    "div",
    (*binary(low=0.5), *ROUNDED, *SPECIAL_QUOTIENTS, *COMPLEX, case(values(1.0, -2.0, 3.0), values(0.0, -0.0, 2.0))),
    "rounding",
    f"whole numbers give float32, rounding_mode; {GRAPH}",
    refusals=(
        *(replace(call, keywords={"rounding_mode": mode}) for call in BY_ZERO for mode in ("floor", "trunc")),
        case(normal(3), normal(3), rounding_mode="abc"),
    ),
)
_REMAINDER = float_row(
    "remainder",
    (*QUOTIENTS, *SPECIAL_QUOTIENTS, *LARGE, case(uniform(3, 4, low=1, high=20), uniform(3, 4, low=0.6, high=3.0))),
    "transcendental",
    f"the sign of the divisor; {GRAPH}",
    refusals=BY_ZERO,
)
_POW = float_row(
    "pow",
    (
        *binary(low=0.2),
        *WEAK,
        case(normal(3, 4), 2),
        case(normal(3, 4), 3.0),
        case(wide(4, 5), 2.0),
        case(uniform(3, 4, low=0.1, high=4.0), 0.5),
        case(uniform(3, 4, low=0.5, high=4.0), -1.5),
        case(2.0, normal(3, 4)),
        case(values(0.0, 0.0, 0.0, 3.0), values(0.0, 1.0, 2.0, 0.0)),
        case(values(0.0, 2.0), 0.0),
        forward_only(2, integers(3, 4, low=0, high=9)),
        forward_only(integers(3, 4), 3),
        forward_only(values(0.0, 0.0, -2.0, -8.0, 1.0), values(0.0, 2.0, 3.0, -1.0, float("nan"))),
    ),
    "exponential",
    "Python numbers keep their digits beside float64 tensors",
    refusals=(case(integers(3, low=1), -1), case(2, 3)),
    **legacy("Pow"),
)
REFUSES: Any = {"adaptation": "a number as the first operand is refused", "refusals": FIRST_A_NUMBER}
_GE = float_row("ge", comparison(), "exact", **REFUSES, **legacy("GreaterEqual"))
_GT = float_row("gt", comparison(), "exact", **REFUSES, **legacy("Greater"))
_LE = float_row("le", comparison(), "exact", **REFUSES)
_LT = float_row("lt", comparison(), "exact", **REFUSES)
_NE = float_row("ne", comparison(), "exact", **REFUSES, **legacy("NotEqual"))
_EQ = float_row("eq", comparison(), "exact", **REFUSES)

ROWS = (
    _ADD,
    _SUB,
    alias(_SUB, "torch.subtract"),
    _MUL,
    alias(_MUL, "torch.multiply"),
    _DIV,
    alias(_DIV, "torch.divide"),
    alias(
        _DIV,
        "torch.true_divide",
        refusals=(),
        adaptation="whole numbers give float32",
        cases=tuple(c for c in _DIV.cases if "rounding_mode" not in c.keywords),
    ),
    float_row("rsub", ALPHA, "rounding", "other - alpha input", refusals=FIRST_A_NUMBER),
    float_row(
        "floor_divide",
        (*QUOTIENTS, *SPECIAL_QUOTIENTS, *LARGE[:1]),
        "exact",
        f"rounds down; {GRAPH}",
        refusals=BY_ZERO,
        **legacy("FloorDiv"),
        note="torch truncated before 1.13; both round down now.",
    ),
    _REMAINDER,
    float_row(
        "fmod",
        (*QUOTIENTS, *SPECIAL_QUOTIENTS, *LARGE, case(uniform(3, 4, low=1, high=20), uniform(3, 4, low=0.6, high=3.0))),
        "transcendental",
        f"the sign of the dividend; a finite number modulo infinity is itself; {GRAPH}",
        refusals=BY_ZERO,
        **legacy("Mod"),
    ),
    _POW,
    float_row(
        "float_power",
        (
            case(uniform(0, 4, low=0.5, high=2.0, dtype="float64"), normal(4, dtype="float64")),
            forward_only(normal(3, 4), 2),
            forward_only(integers(3, 4, low=1), 2),
            forward_only(uniform(3, 4, low=0.2, high=3), uniform(4, low=-1, high=2)),
        ),
        "exponential",
        NO_SUM,
        targets=("shim.float_power",),
    ),
    float_row(
        "atan2",
        (
            *binary(infinite=False, numbers=False),
            forward_only(values(0.0, -0.0, 0.0, -0.0), values(1.0, 1.0, -1.0, -1.0)),
            *ORIGIN,
            forward_only(values(NAN, 1.0, NAN, 0.0), values(1.0, NAN, NAN, 0.0)),
        ),
        "transcendental",
        "promotion; the gradient in the origin is 0, where the kernel's is NaN",
        **legacy("Atan2"),
    ),
    float_row("maximum", EXTREMA, "exact", "ties share the gradient, NaN spreads"),
    float_row("minimum", EXTREMA, "exact", "ties share the gradient, NaN spreads"),
    float_row(
        "fmax", FEXTREMA, "exact", "NaN yields to a number; float64 gradients, numbers are refused", refusals=BETWEEN
    ),
    float_row(
        "fmin", FEXTREMA, "exact", "NaN yields to a number; float64 gradients, numbers are refused", refusals=BETWEEN
    ),
    float_row(
        "hypot",
        (
            *binary(numbers=False, whole=False, mixed=False),
            WEAK[0],
            case(*[normal(3, 4, dtype="float64")] * 2),
            case(values(1e200, 1e-200, 3.0, dtype="float64"), values(1e200, 1e-200, 4.0, dtype="float64")),
        ),
        "rounding",
        "float64 gradients, 0-d tensors do not widen",
        refusals=(case(integers(3), integers(3)),),
    ),
    float_row(
        "logaddexp", binary(numbers=False, whole=False, mixed=False), "exponential", "stable for far apart inputs"
    ),
    float_row(
        "logaddexp2", binary(numbers=False, whole=False, mixed=False), "exponential", "stable for far apart inputs"
    ),
    float_row(
        "copysign",
        (
            forward_only(normal(3, 4), normal(3, 4)),
            case(normal(3, 4), normal(4, fixed=True)),
            forward_only(normal(3, 4), -1.0),
            forward_only(normal(3), values(0.0, -0.0, -2.0)),
        ),
        "exact",
        "-0 is negative",
    ),
    float_row(
        "xlogy",
        (
            *binary(low=0.1, infinite=False),
            forward_only(values(0.0, 0.0, 2.0, float("nan")), values(0.0, 3.0, 0.0, 1.0)),
            NO_LOG,
        ),
        "transcendental",
        "0 log 0 is 0, and has no slope",
    ),
    float_row(
        "heaviside",
        (
            forward_only(normal(3, 4), normal(4)),
            forward_only(values(0.0, -1.0, 2.0), values(0.5, 0.5, 0.5)),
            forward_only(integers(3, 4), integers(3, 4)),
            forward_only(boolean(3, 4), boolean(3, 4)),
        ),
        "exact",
        "numbers are refused",
        refusals=(case(2, 3), case(integers(3), 3)),
    ),
    float_row(
        "ldexp",
        (
            case(normal(3, 4), normal(3, 4)),
            forward_only(normal(3, 4), integers(4)),
            forward_only(normal(3, 4, dtype="float16", fixed=True), integers(4)),
        ),
        "exponential",
        "in the dtype of what floats",
    ),
    float_row(
        "lerp",
        (
            case(normal(3, 4), normal(3, 4), 0.3),
            case(normal(3, 4), normal(4), weight=0.7),
            case(normal(3, 4), normal(3, 4), normal(3, 4)),
            case(*[normal(3, 4, dtype="float64")] * 2, 0.3),
            case(*[normal(3, 4, dtype="float64")] * 2, 0.7),
            case(normal(3, 4), normal(3, 4), 2),
            case(*[normal(3, 4, dtype="float64")] * 3),
        ),
        "reduction",
        "float64",
        refusals=(case(normal(3), 2.0, 0.3), case(normal(3), normal(3, dtype="float64"), 0.3)),
    ),
    float_row(
        "addcmul",
        (
            case(normal(3, 4), normal(3, 4), normal(3, 4)),
            case(normal(3, 4), normal(3, 1), normal(1, 4), value=0.5),
            case(strided(normal(3, 4)), normal(3, 4), normal(4), value=-2),
            case(*[normal(3, 4, dtype="float64")] * 3, value=0.3),
            forward_only(integers(3, 4), integers(3, 4), integers(3, 4), value=2),
        ),
        "reduction",
        "the factor keeps its digits beside float64 tensors",
    ),
    float_row(
        "addcdiv",
        (
            case(normal(3, 4), normal(3, 4), uniform(3, 4, low=0.5, high=3)),
            case(normal(3, 4), normal(3, 1), uniform(1, 4, low=0.5, high=3), value=0.5),
            case(*[normal(3, 4, dtype="float64")] * 2, uniform(3, 4, low=0.5, high=3, dtype="float64"), value=0.3),
            forward_only(normal(4), normal(4), values(0.0, -0.0, 1.0, float("nan"))),
        ),
        "reduction",
        "the factor keeps its digits beside float64 tensors",
        refusals=(case(integers(3), integers(3), integers(3, low=1)),),
    ),
    plain("bitwise_and", BITWISE, "exact", **legacy("BitwiseAnd")),
    plain("bitwise_or", BITWISE, "exact", **legacy("BitwiseOr")),
    plain("bitwise_xor", BITWISE, "exact"),
    *(
        Row(
            f"torch.bitwise_{side}_shift",
            (f"shim.bitwise_{side}_shift",),
            SHIFTS,
            "exact",
            f"{what} where the count is negative or no bit is left",
        )
        for side, what in (("left", "0"), ("right", "the sign alone"))
    ),
    plain("logical_and", LOGICAL, "exact"),
    plain("logical_or", LOGICAL, "exact"),
    plain("logical_xor", LOGICAL, "exact"),
    _GE,
    alias(_GE, "torch.greater_equal"),
    _GT,
    alias(_GT, "torch.greater"),
    _LE,
    alias(_LE, "torch.less_equal"),
    _LT,
    alias(_LT, "torch.less"),
    _NE,
    alias(_NE, "torch.not_equal"),
    _EQ,
    float_row(
        "isclose",
        (
            forward_only(normal(3, 4), normal(3, 4)),
            forward_only(TIES, TIES),
            forward_only(TIES, TIES, rtol=0.0, atol=0.5),
            forward_only(INFINITE, INFINITE),
            forward_only(INFINITE, INFINITE, equal_nan=True),
        ),
        "exact",
        "negative tolerances are refused",
        refusals=(case(normal(), normal(), rtol=-0.4), case(normal(), normal(), atol=-0.4)),
    ),
    plain(
        "allclose",
        (
            forward_only(normal(3, 4), normal(3, 4)),
            forward_only(TIES, TIES),
            forward_only(INFINITE, INFINITE, equal_nan=True),
            forward_only(INFINITE, INFINITE),
        ),
        "exact",
    ),
    float_row(
        "equal",
        (
            forward_only(normal(3, 4), normal(3, 4)),
            forward_only(TIES, TIES),
            forward_only(TIES, normal(3)),
            forward_only(integers(3, 4), integers(3, 4)),
        ),
        "exact",
        "returns a Python bool, False for other shapes; not for graphs",
    ),
    float_row(
        "dist",
        (
            case(normal(3, 4), normal(3, 4)),
            case(normal(3, 4), normal(4), p=1),
            case(normal(3, 4), normal(3, 4), 3.0),
            case(normal(3, 4, dtype="float64"), normal(3, 4, dtype="float64"), 3),
            forward_only(normal(3, 4), normal(3, 4), float("inf")),
            case(values(1.0, 2.0), values(1.0, 2.0)),
        ),
        "reduction",
        "the p-norm of the difference",
    ),
)
