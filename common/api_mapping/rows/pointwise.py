"""Elementwise functions of one tensor."""

from __future__ import annotations

from dataclasses import replace

from common.api_mapping.arrays import boolean, integers, normal, strided, uniform, values, wide
from common.api_mapping.grids import EDGES, INFINITE, unary
from common.api_mapping.row import Case, Row, alias, case, forward_only

PROMOTES = "whole numbers become float32"
SINGLE = {"float64": "the float64 kernel is accurate to float32 only, so the adapter refuses it"}
EXTREMES = values(88.0, -88.0, 100.0, -100.0, -104.0, 0.0, -0.0, float("inf"), float("-inf"), float("nan"))
NONZERO = values(1e-30, -1e-30, 1e-6, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
POSITIVE = values(1e-30, 1e-6, 0.5, 1.0, 2.0, 1e6, 1e30)
HALVES = values(0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.0, -0.0, 2.4999998, 8388609.0)


NO_SUM = "the gradient is 0 where the result is empty"
ANY_SIZE = "-1 beside 0 is refused"


def float_row(
    name: str, cases: tuple[Case, ...], tolerance: str = "transcendental", adaptation: str = "", **rest
) -> Row:
    """A row whose candidates carry torch's name, with an adapter."""
    targets = rest.pop("targets", (f"mint.{name}", f"ops.{name}", f"shim.{name}"))
    return Row(f"torch.{name}", targets, cases, tolerance, adaptation, **rest)


def plain(name: str, cases: tuple[Case, ...], tolerance: str = "exact", **rest) -> Row:
    """The same without an adapter."""
    return Row(f"torch.{name}", (f"mint.{name}", f"ops.{name}"), cases, tolerance, **rest)


TESTS = (
    forward_only(INFINITE),
    forward_only(EDGES),
    forward_only(normal(3, 4)),
    forward_only(strided(normal(3, 4))),
    forward_only(normal(0, 3)),
    forward_only(normal()),
    forward_only(integers(3, 4)),
)
BITS = (
    forward_only(integers(3, 4)),
    forward_only(integers(3, 4, dtype="int32")),
    forward_only(boolean(3, 4)),
    forward_only(strided(integers(3, 4))),
    forward_only(integers(0, 3)),
    forward_only(integers()),
)
BOUNDS = values(0.0, float("nan"), 1.0, float("nan"), -1.0, 2.0, float("inf"))
INSIDE = values(0.0, -0.0, 1e-30, 1e-6, -1e-6, 0.5, -0.5, 0.99, -0.99)
ABOVE = values(1.0001, 1.5, 2.0, 100.0, 1e6)
GAMMA = values(1e-3, 0.5, 1.0, 1.0001, 1.5, 2.0, 2.0001, 3.0, 30.0, 1e4)
POLES = values(0.0, -1.0, -2.0, -0.5, -1.5, -10.3, float("inf"), float("nan"))
NEAR_ONE = values(1.0, 1.0 + 2.0**-23, 1.0 - 2.0**-24, 1.00001, 0.99999, 1.001, 0.999, 1e-30, 1e30, 0.5)
NEAR_ONE64 = values(1.0, 1.0 + 2.0**-40, 1.0 - 2.0**-40, 0.999, 1e-300, 1e300, dtype="float64")
SMALL = values(0.0, 1e-30, -1e-30, 1e-7, -1e-7, 1e-5, -1e-5, 1e-3, 0.5, -0.5, -0.999, 1.0, 3.0, 1e30)
SMALL64 = values(0.0, 1e-300, 1e-15, -1e-15, 1e-9, -1e-7, 1e-3, -0.999999, 3.0, 1e300, dtype="float64")
TAILS = values(0.0, 1e-30, 1e-7, 0.25, -0.5, 0.9, -0.95, 0.99, -0.999, 0.9999, -0.999999, 1.0 - 2.0**-24)
TAILS64 = values(1e-300, 1e-9, -0.5, 0.999, -0.9999999, 1.0 - 2.0**-40, dtype="float64")
OUTSIDE = values(1.0, -1.0, 1.5, -2.0, float("inf"), float("nan"))
HALF_SMALL = values(0.0, 1e-4, -1e-4, 0.01, 0.5, 1.0, 3.0, 100.0, dtype="float16", fixed=True)
CLAMP = (
    case(normal(3, 4), -0.5, 0.5),
    case(normal(3, 4), min=-0.5),
    case(strided(normal(3, 4)), max=0.5),
    case(normal(3, 4), min=0.5, max=-0.5),
    forward_only(INFINITE, float("nan"), 1.0),
    forward_only(INFINITE, -1.0, float("nan")),
    forward_only(INFINITE, max=float("nan")),
    forward_only(INFINITE, BOUNDS, None),
    forward_only(INFINITE, None, BOUNDS),
    case(normal(3, 4), normal(3, 4, fixed=True), None),
    case(normal(3, 4), min=uniform(4, low=-1, high=0, fixed=True), max=uniform(3, 1, low=0, high=1, fixed=True)),
    case(normal(), 0.0),
    case(normal(3, 4, dtype="float64"), 0.3, max=0.7),
    forward_only(INFINITE, -1.0, 1.0),
    forward_only(integers(3, 4), -2, 2),
    forward_only(integers(3, 4, dtype="int32"), min=0),
    forward_only(normal(0, 3), 0.0, 1.0),
)

_ACOS = float_row(
    "acos",
    (*unary(domain=(-0.95, 0.95), edges=INSIDE), forward_only(OUTSIDE)),
    adaptation=PROMOTES,
    legacy="ops.ACos",
    legacy_call="lambda input: ops.ACos()(input)",
)
_ASIN = float_row(
    "asin",
    (*unary(domain=(-0.95, 0.95), edges=INSIDE), forward_only(OUTSIDE)),
    adaptation=PROMOTES,
    legacy="ops.Asin",
    legacy_call="lambda input: ops.Asin()(input)",
)
_ATAN = float_row(
    "atan", unary(), adaptation=PROMOTES, legacy="ops.Atan", legacy_call="lambda input: ops.Atan()(input)"
)
_ABS = float_row(
    "abs",
    (
        *unary(),
        case(normal(3, 4, dtype="complex64")),
        case(normal(3, dtype="complex128")),
        case(values(0j, 1e30 + 1e30j, 3 - 4j, dtype="complex64")),
    ),
    "rounding",
    "of complex numbers a real one, with the gradient 0 at 0",
    targets=("shim.absolute", "mint.abs", "ops.abs"),
    legacy="ops.Abs",
    legacy_call="lambda input: ops.Abs()(input)",
)
_NEG = plain("neg", unary(), legacy="ops.Neg", legacy_call="lambda input: ops.Neg()(input)")
_CLAMP = float_row(
    "clamp",
    CLAMP,
    "exact",
    "gradient 1 at a bound, bounds may be tensors, NaN stays NaN and spreads from a bound",
    refusals=(case(normal(3)),),
)
_TRUNC = plain("trunc", unary(), "exact")

ROWS = (
    _ABS,
    alias(_ABS, "torch.absolute"),
    _NEG,
    alias(_NEG, "torch.negative"),
    _ACOS,
    alias(_ACOS, "torch.arccos"),
    _ASIN,
    alias(_ASIN, "torch.arcsin"),
    _ATAN,
    alias(_ATAN, "torch.arctan"),
    float_row("acosh", unary(domain=(1.1, 5.0), edges=ABOVE), adaptation=PROMOTES),
    float_row("asinh", unary(), adaptation=PROMOTES),
    float_row("atanh", (*unary(domain=(-0.9, 0.9), edges=INSIDE), forward_only(OUTSIDE)), adaptation=PROMOTES),
    float_row("cos", unary(), adaptation=PROMOTES),
    float_row("sin", unary(), adaptation=PROMOTES),
    float_row("tan", unary(domain=(-1.4, 1.4)), adaptation=PROMOTES),
    float_row("cosh", (*unary(domain=(-5.0, 5.0)), forward_only(EXTREMES)), "exponential", PROMOTES),
    float_row("sinh", (*unary(domain=(-5.0, 5.0)), forward_only(EXTREMES)), "exponential", PROMOTES),
    float_row(
        "tanh",
        unary(),
        adaptation="computed in float64: the float32 kernel is off by up to 1e-4 for |x| > 3 and leaves [-1, 1]",
        legacy="ops.Tanh",
        legacy_call="lambda input: ops.Tanh()(input)",
    ),
    float_row("exp", (*unary(infinite=False), forward_only(EXTREMES)), "exponential", PROMOTES),
    plain("exp2", (*unary(infinite=False), forward_only(EXTREMES)), "exponential"),
    float_row("expm1", (*unary(infinite=False), forward_only(EXTREMES)), "exponential", PROMOTES),
    float_row(
        "log",
        (
            *unary(domain=(0.05, 20.0), edges=POSITIVE),
            case(NEAR_ONE),
            case(NEAR_ONE64),
            forward_only(values(0.25, 0.999, 1.0, 2.0, dtype="float16")),
        ),
        adaptation="computed in float64: the float32 kernel is off by 2e-5 near 1; whole numbers become float32",
    ),
    float_row(
        "log2",
        (
            *unary(domain=(0.05, 20.0), edges=POSITIVE),
            case(NEAR_ONE),
            case(NEAR_ONE64),
            forward_only(values(0.25, 0.999, 1.0, 2.0, dtype="float16")),
        ),
        adaptation="computed in float64: the float32 kernel is off by 2e-5 near 1; whole numbers become float32",
    ),
    float_row(
        "log10",
        (
            *unary(domain=(0.05, 20.0), edges=POSITIVE),
            case(NEAR_ONE),
            case(NEAR_ONE64),
            forward_only(values(0.25, 0.999, 1.0, 2.0, dtype="float16")),
        ),
        adaptation="computed in float64: the float32 kernel is off by 2e-5 near 1; whole numbers become float32",
    ),
    float_row(
        "log1p",
        (
            *unary(domain=(-0.9, 20.0), edges=SMALL),
            case(SMALL64),
            forward_only(values(-1.0, -2.0)),
            forward_only(HALF_SMALL),
        ),
        adaptation="accurate near 0, where the kernels add 1 and lose what is small; whole numbers become float32",
    ),
    plain("sqrt", unary(domain=(0.0, 20.0), edges=POSITIVE), "rounding"),
    float_row("rsqrt", unary(domain=(0.05, 20.0), edges=POSITIVE), "rounding", PROMOTES),
    plain("reciprocal", (*unary(edges=values(1e-6, 0.5, -0.5, 1.0, 2.0, -1e6)), forward_only(EDGES)), "rounding"),
    plain("square", unary(), "rounding"),
    float_row("erf", unary(), adaptation=PROMOTES),
    float_row("erfc", unary(domain=(-4.0, 4.0)), adaptation=PROMOTES),
    float_row(
        "erfinv",
        (*unary(domain=(-0.95, 0.95), edges=TAILS), case(TAILS64), forward_only(OUTSIDE), forward_only(HALF_SMALL)),
        "transcendental",
        "Halley's method: the kernel is off by up to 36 % near 1; whole numbers become float32",
        targets=("shim.erfinv", "mint.erfinv", "ops.erfinv"),
    ),
    float_row(
        "lgamma",
        (*unary(domain=(0.1, 20.0), edges=GAMMA), forward_only(POLES)),
        adaptation=PROMOTES,
        limits=SINGLE,
        note="The gradient is digamma.",
    ),
    float_row(
        "digamma",
        tuple(
            replace(tried, gradient=False) if "float64" in str(tried) else tried
            for tried in (*unary(domain=(0.6, 20.0), edges=GAMMA), forward_only(POLES))
        ),
        adaptation="reflection, recurrence and asymptotic series in float64; whole numbers become float32",
        note="torch's own float64 gradient is off by up to 5e-10; this one is not.",
    ),
    float_row(
        "logit",
        (
            *unary(domain=(0.05, 0.95), edges=values(0.0, 1.0, -0.5, 2.0), whole=False),
            case(uniform(3, 4, low=0.0, high=1.0), eps=0.1),
            case(uniform(3, 4, low=0.0, high=1.0), 1e-6),
            forward_only(boolean(3, 4)),
        ),
        adaptation="MindSpore's gradient ends the process when it is taken a few times over",
        targets=("shim.logit",),
    ),
    float_row("deg2rad", unary(), "rounding", PROMOTES),
    float_row("rad2deg", unary(), "rounding", PROMOTES),
    plain("ceil", unary(whole=False)),
    plain("floor", unary(whole=False), legacy="ops.Floor", legacy_call="lambda input: ops.Floor()(input)"),
    float_row(
        "round",
        (
            *unary(),
            forward_only(HALVES),
            case(normal(3, 4), decimals=2),
            forward_only(values(123.0, 155.0, -165.0), decimals=-1),
        ),
        "rounding",
        "halves go to even, `decimals`",
    ),
    _TRUNC,
    alias(_TRUNC, "torch.fix"),
    plain("frac", unary(whole=False), "rounding"),
    float_row("sign", (*unary(), forward_only(boolean(3, 4))), "exact", "NaN gives 0, booleans stay"),
    _CLAMP,
    alias(_CLAMP, "torch.clip"),
    float_row(
        "clamp_min",
        (
            case(normal(3, 4), 0.1),
            case(strided(normal(3, 4)), min=0.0),
            forward_only(INFINITE, 0.0),
            forward_only(integers(3, 4), 1),
        ),
        "exact",
        "one-sided clamp",
    ),
    float_row(
        "clamp_max",
        (
            case(normal(3, 4), 0.1),
            case(strided(normal(3, 4)), max=0.0),
            forward_only(INFINITE, 0.0),
            forward_only(integers(3, 4), 1),
        ),
        "exact",
        "one-sided clamp",
    ),
    plain("isnan", TESTS),
    float_row("isinf", TESTS, "exact", "whole numbers are never infinite"),
    plain("isfinite", TESTS, "exact"),
    float_row("isneginf", TESTS, "exact", "has no kernel of its own"),
    float_row("isposinf", TESTS, "exact", "has no kernel of its own"),
    float_row("signbit", TESTS, "exact", "-0 is negative"),
    float_row(
        "nan_to_num",
        (
            forward_only(INFINITE),
            forward_only(INFINITE, nan=3.0),
            forward_only(INFINITE, 1.0, 2.0, -2.0),
            case(normal(3, 4)),
            case(strided(wide(4, 4))),
            forward_only(integers(3, 4)),
            forward_only(normal(0, 3)),
        ),
        "exact",
        "infinities become the dtype's largest values",
    ),
    plain("logical_not", (*BITS, forward_only(normal(3, 4)), forward_only(EDGES)), "exact"),
    float_row("bitwise_not", BITS, "exact", "-1 - x, and not x for booleans"),
    float_row(
        "sinc",
        (*unary(), forward_only(boolean(3, 4)), forward_only(HALF_SMALL)),
        "transcendental",
        "computed in float64; whole numbers and booleans become float32",
    ),
    plain("positive", unary(), "exact"),
)
