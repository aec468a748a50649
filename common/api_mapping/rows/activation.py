"""Activations of `torch.nn.functional`, and those that stand in `torch` as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from common.api_mapping.arrays import DType, boolean, integers, normal, strided, values, wide
from common.api_mapping.grids import INFINITE, unary
from common.api_mapping.row import Case, Row, case, forward_only

F = "torch.nn.functional"
NAN = "NaN stays NaN; MindSpore's kernel makes it a number"
DOUBLE = "computed in float64 on the CPU, whose float32 kernels are coarse"


def candidates(name: str) -> tuple[str, ...]:
    """MindSpore's own functions of that name, then the adapter."""
    return f"mint.nn.functional.{name}", f"ops.{name}", f"shim.{name}"


def forms(*calls: dict[str, Any], kinks: bool = False, infinite: bool = True) -> tuple[Case, ...]:
    """The grid of an elementwise function, and calls with each of the given keywords."""
    tried = list(unary(whole=False, kinks=kinks, infinite=infinite))
    for keywords in calls:
        tried += [
            (forward_only if kinks else case)(x, **keywords)
            for x in (normal(3, 4), wide(4, 5), normal(3, 4, dtype="float64"))
        ]
        tried += [forward_only(INFINITE, **keywords)] if infinite else []
    return tuple(tried)


FAR = values(-20.0, -30.0, -37.0, -60.0, -700.0, 18.0, dtype="float64")
RELU = unary()
GELU = forms(
    {"approximate": "tanh"}, infinite=False
)  # torch's own gelu of infinity is NaN or infinite, by the vector width
PRELU = (
    case(normal(2, 3, 4), values(0.25)),
    case(normal(2, 3, 4), normal(3)),
    case(strided(wide(4, 5)), weight=normal(5)),
    case(normal(), values(0.25)),
    forward_only(INFINITE, values(0.25)),
)
AXES = tuple(
    build(x, dim=dim)
    for x, dim, build in (
        (normal(3, 4), -1, case),
        (wide(4, 5), 1, case),
        (normal(2, 3, 4), 0, case),
        (normal(2, 3, 4), -2, case),
        (strided(normal(3, 4)), 1, case),
        (normal(), 0, case),
        (normal(), -1, case),
        (normal(0, 3), 1, forward_only),
        (values(1.0, 2.0, float("-inf"), 0.5, float("-inf"), 3.0, shape=(2, 3)), -1, forward_only),
        (values(1.0, 2.0, float("nan"), 0.5, float("-inf"), float("-inf"), shape=(2, 3)), -1, forward_only),
        (values(float("-inf"), float("-inf"), float("inf"), 0.5, 1e30, -1e30, shape=(3, 2)), -1, forward_only),
    )
)
SOFTMAX = (
    *AXES,
    case(normal(3, 4), 1),
    case(normal(3, 4), dim=-1, dtype=DType("float32")),
    case(normal(3, 4, dtype="float16", fixed=True), dim=-1, dtype=DType("float32")),
    forward_only(integers(3, 4), dim=-1, dtype=DType("float32")),
)
SAFE = "infinite and NaN rows become NaN and 0-d inputs are taken; the fused kernel gives 0, also for large differences"
FINE = "computed in float64 on the CPU, since the kernel is off by 1 % near probability 1"
PROMOTED = (*unary(), forward_only(boolean(3, 4)))

ROWS = (
    *(Row(name, candidates("relu"), RELU, "exact", NAN) for name in ("torch.relu", f"{F}.relu")),
    Row(f"{F}.relu6", candidates("relu6"), forms({"inplace": False}), "rounding", NAN),
    Row(
        f"{F}.leaky_relu",
        candidates("leaky_relu"),
        (*forms({"negative_slope": 0.2}), case(normal(3, 4), 0.1)),
        "rounding",
        "the slope is called negative_slope and is 0.01 unless given; 0.2 in ops",
    ),
    Row(f"{F}.elu", candidates("elu"), (*forms({"alpha": 0.5}), case(normal(3, 4), 2.0)), "transcendental", DOUBLE),
    *(Row(name, candidates("selu"), forms(), "transcendental", DOUBLE) for name in ("torch.selu", f"{F}.selu")),
    *(
        Row(name, candidates("celu"), (*forms({"alpha": 0.5}), case(normal(3, 4), 2.0)), "transcendental", DOUBLE)
        for name in ("torch.celu", f"{F}.celu")
    ),
    *(
        Row(name, candidates("prelu"), PRELU, "rounding", "compares and multiplies, where the device has no kernel")
        for name in ("torch.prelu", f"{F}.prelu")
    ),
    Row(
        f"{F}.gelu",
        ("shim.gelu", "mint.nn.functional.gelu", "ops.gelu"),
        (
            *GELU,
            forward_only(values(-4.0, -3.0, -0.5, 1.0, 5.0, dtype="float16")),
            forward_only(values(-4.0, -3.0, -0.5, 1.0, 5.0, dtype="float16"), approximate="tanh"),
        ),
        "transcendental",
        "the exact form by erf; float16 is computed in float32",
        refusals=(case(normal(3), approximate="abc"),),
    ),
    Row(f"{F}.silu", candidates("silu"), forms({"inplace": False}), "exponential", "inplace may be named"),
    Row(f"{F}.mish", candidates("mish"), forms({"inplace": False}), "exponential", DOUBLE),
    Row(
        f"{F}.softplus",
        candidates("softplus"),
        (*forms({"beta": 2}, {"beta": 0.5, "threshold": 3}), case(normal(3, 4), 2, 1), case(FAR)),
        "exponential",
        NAN,
    ),
    Row(
        f"{F}.softsign",
        candidates("softsign"),
        forms(),
        "rounding",
        "input / (1 + |input|), where the device has no kernel",
    ),
    Row(
        f"{F}.softshrink",
        candidates("softshrink"),
        (*forms({"lambd": 1.5}, kinks=True), case(normal(3, 4), 0.3)),
        "rounding",
        NAN,
        refusals=(case(normal(3), -0.5),),
    ),
    *(
        Row(name, candidates("hardshrink"), (*forms({"lambd": 1.5}, kinks=True), case(normal(3, 4), 0.3)), "exact", NAN)
        for name in ("torch.hardshrink", f"{F}.hardshrink")
    ),
    Row(
        f"{F}.tanhshrink",
        candidates("tanhshrink"),
        (*forms(), forward_only(integers(3, 4)), forward_only(integers(3, 4, low=0, high=9, dtype="uint8"))),
        "transcendental",
        DOUBLE,
    ),
    Row(
        f"{F}.hardtanh",
        candidates("hardtanh"),
        (
            *forms({"min_val": -0.5, "max_val": 2.0}),
            case(normal(3, 4), -2.0, 0.5),
            forward_only(INFINITE, float("nan"), 1.0),
            forward_only(INFINITE, -1.0, float("nan")),
        ),
        "exact",
        "NaN stays NaN and spreads from a bound; MindSpore's kernel makes it a number",
        refusals=(case(normal(3), 0.5, -0.5),),
    ),
    Row(
        f"{F}.hardsigmoid",
        candidates("hardsigmoid"),
        tuple(
            replace(tried, gradient=False) if "float64" in str(tried) else tried for tried in forms({"inplace": False})
        ),
        "rounding",
        note="torch's own float64 gradient takes 1/6 in float32; this one does not",
        adaptation="inplace may be named",
    ),
    Row(
        f"{F}.hardswish",
        candidates("hardswish"),
        forms({"inplace": False}),
        "rounding",
        adaptation="infinite inputs give NaN where torch does",
    ),
    *(
        Row(
            name,
            candidates("threshold"),
            (case(normal(3, 4), 0.5, -1.0), *unary(threshold=0.1, value=20.0, whole=False)),
            "exact",
            NAN,
        )
        for name in ("torch.threshold", f"{F}.threshold")
    ),
    Row(f"{F}.logsigmoid", candidates("logsigmoid"), (*forms(), case(FAR)), "exponential", DOUBLE),
    Row(
        "torch.sigmoid",
        ("mint.sigmoid", "ops.sigmoid", "shim.sigmoid"),
        PROMOTED,
        "exponential",
        "whole-number and boolean inputs become float32",
    ),
    Row(
        f"{F}.sigmoid", candidates("sigmoid"), PROMOTED, "exponential", "whole-number and boolean inputs become float32"
    ),
    Row(
        f"{F}.tanh",
        candidates("tanh"),
        PROMOTED,
        "transcendental",
        "computed in float64, since the float32 kernel is off by up to 1e-4",
    ),
    Row("torch.softmax", candidates("softmax"), SOFTMAX, "exponential", SAFE),
    Row(f"{F}.softmax", candidates("softmax"), SOFTMAX, "exponential", SAFE),
    *(
        Row(name, candidates("log_softmax"), SOFTMAX, "exponential", FINE)
        for name in ("torch.log_softmax", f"{F}.log_softmax")
    ),
    Row(
        f"{F}.softmin",
        candidates("softmin"),
        (*AXES, case(normal(3, 4), dim=1, dtype=DType("float32"))),
        "exponential",
        SAFE,
    ),
    Row(
        f"{F}.gumbel_softmax",
        ("shim.gumbel_softmax",),
        (
            forward_only(normal(400, 50)),
            forward_only(normal(50, 400), tau=0.5, dim=0),
            forward_only(normal(400, 50), 2.0, True),
            forward_only(normal(20, 50, 20), hard=True, dim=1),
        ),
        stochastic=True,
        adaptation="the exact softmax: the fused kernel leaves rows behind a masked one unwritten",
    ),
    Row(
        f"{F}.rrelu",
        candidates("rrelu"),
        (
            forward_only(normal(200, 100)),
            forward_only(normal(200, 100), 0.1, 0.5),
            forward_only(normal(200, 100), training=True),
        ),
        stochastic=True,
        adaptation="the slope is drawn while training only; ops draws it always",
        refusals=(forward_only(normal(5, 5), 0.3, 0.1),),
    ),
    Row(
        f"{F}.glu",
        candidates("glu"),
        (
            case(normal(3, 4)),
            case(normal(4, 6), 0),
            case(wide(4, 6), dim=-2),
            case(strided(normal(4, 6))),
            case(normal(2, 2, 3), dim=1),
        ),
        "exponential",
        "the axis is called dim",
    ),
)
