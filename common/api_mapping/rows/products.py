"""Matrix products and other products of `torch`."""

from __future__ import annotations

import math

from common.api_mapping.arrays import integers, normal, strided, values, wide
from common.api_mapping.row import Row, case, forward_only
from common.api_mapping.rows.linalg import NAN, NAN2, NAN3
from common.api_mapping.rows.pointwise import NO_SUM, float_row

MATMUL = (
    case(normal(3, 4), normal(4, 5)),
    case(normal(4), normal(4)),
    case(normal(3, 4), normal(4)),
    case(normal(4), normal(4, 5)),
    case(normal(2, 3, 4), normal(2, 4, 5)),
    case(normal(2, 1, 3, 4), normal(3, 4, 5)),
    case(strided(normal(4, 4)), normal(4, 5)),
    case(normal(2, 3, 4), normal(4)),
    forward_only(integers(3, 4), integers(4, 2)),
    case(wide(8, 64), wide(64, 8)),
    forward_only(normal(0, 4), normal(4, 3)),
)

INSIDE = "over nothing it is 0, where the kernel returns what happens to be in memory"

ADDED = "factors keep their digits; a factor 0 leaves its part out, NaN included; over nothing a product is 0"


def added(sum_of: tuple[int, ...], left: tuple[int, ...], right: tuple[int, ...]) -> tuple:
    """Calls of beta input + alpha product: in float64, and with factors of 0 before NaN."""
    nan = values(*[NAN] * math.prod(sum_of), shape=sum_of)
    double = [normal(*shape, dtype="float64") for shape in (sum_of, left, right)]
    return (
        case(*double, beta=0.2, alpha=0.6),
        case(normal(*sum_of), normal(*left), normal(*right), beta=0.2, alpha=0.6),
        forward_only(nan, normal(*left), normal(*right), beta=0),
        forward_only(normal(*sum_of), normal(*left), normal(*right), beta=0, alpha=0),
    )


def first(name: str, cases, tolerance: str = "reduction", adaptation: str = INSIDE, **rest) -> Row:
    """A row whose shim is tried first: now and then memory holds what is right."""
    return float_row(
        name, cases, tolerance, adaptation, targets=(f"shim.{name}", f"mint.{name}", f"ops.{name}"), **rest
    )


ROWS = (
    float_row(
        "matmul",
        (*MATMUL, forward_only(normal(2, 2, 0), normal(0, 3))),
        "reduction",
        "over nothing it is 0, where the kernel returns what happens to be in memory",
        targets=("shim.matmul", "mint.matmul", "ops.matmul"),
    ),
    first(
        "mm",
        (
            MATMUL[0],
            MATMUL[6],
            MATMUL[9],
            forward_only(integers(3, 4), integers(4, 2)),
            forward_only(normal(5, 0), normal(0, 10)),
            forward_only(integers(5, 0), integers(0, 10)),
            forward_only(normal(0, 4), normal(4, 3)),
            forward_only(normal(3, 4, dtype="float64"), normal(4, 2, dtype="float64")),
            forward_only(NAN2, normal(3, 2)),
        ),
        refusals=(case(normal(3, 4), normal(3, 4)), case(normal(2, 3, 4), normal(4, 2))),
        legacy="ops.MatMul",
        legacy_call="lambda input, mat2: ops.MatMul()(input, mat2)",
    ),
    first(
        "bmm",
        (
            case(normal(2, 3, 4), normal(2, 4, 5)),
            case(strided(normal(2, 4, 4)), normal(2, 4, 5)),
            forward_only(integers(2, 3, 4), integers(2, 4, 2)),
            forward_only(normal(2, 3, 0), normal(2, 0, 5)),
            forward_only(normal(0, 3, 4), normal(0, 4, 5)),
            forward_only(normal(2, 3, 4, dtype="float64"), normal(2, 4, 2, dtype="float64")),
        ),
        refusals=(case(normal(2, 3, 4), normal(3, 4, 5)), case(normal(3, 4), normal(4, 5))),
    ),
    first(
        "mv",
        (
            case(normal(3, 4), normal(4)),
            case(strided(normal(4, 4)), normal(4)),
            forward_only(normal(3, 0), normal(0)),
            forward_only(integers(3, 4), integers(4)),
        ),
        refusals=(case(normal(3, 4), normal(3)),),
    ),
    float_row(
        "dot",
        (
            case(normal(5), normal(5)),
            forward_only(integers(5), integers(5)),
            forward_only(integers(5, dtype="int32"), integers(5, dtype="int32")),
            forward_only(integers(5, low=0, high=9, dtype="uint8"), integers(5, low=0, high=9, dtype="uint8")),
            forward_only(normal(0), normal(0)),
        ),
        "reduction",
        "whole numbers in their dtype; 0 for nothing",
        targets=("shim.dot", "mint.dot", "ops.dot"),
        refusals=(
            case(normal(3), normal(4)),
            case(normal(1, 1), normal(3)),
            case(normal(3), normal(3, dtype="float64")),
        ),
    ),
    first(
        "inner",
        (
            case(normal(5), normal(5)),
            case(normal(3, 4), normal(5, 4)),
            case(normal(), normal(3)),
            forward_only(normal(2, 0), normal(3, 0)),
            forward_only(integers(2, 3), integers(3)),
        ),
        refusals=(case(normal(3, 4), normal(3, 5)),),
    ),
    first(
        "outer",
        (
            case(normal(3), normal(4)),
            forward_only(integers(3), integers(4)),
            case(normal(3, dtype="float64"), normal(4, dtype="float64")),
            forward_only(normal(0), normal(4)),
        ),
        "rounding",
        "float64 is not computed in float32",
        refusals=(case(normal(3, 1), normal(4)),),
    ),
    float_row(
        "ger",
        (case(normal(3), normal(4)), case(normal(3, dtype="float64"), normal(4, dtype="float64"))),
        "rounding",
        "float64 is not computed in float32",
        targets=("shim.outer", "mint.ger", "ops.ger"),
    ),
    first(
        "addmm",
        (
            *added((3, 5), (3, 4), (4, 5)),
            forward_only(normal(5, 10), normal(5, 0), normal(0, 10), beta=0.2, alpha=0.6),
            forward_only(normal(2, 2), NAN2, normal(3, 2), alpha=0),
            forward_only(integers(2, 2), integers(2, 3), integers(3, 2), beta=2, alpha=3),
            case(normal(3, 5), normal(3, 4), normal(4, 5)),
            case(normal(5), normal(3, 4), normal(4, 5), beta=0.5, alpha=2),
        ),
        adaptation=ADDED,
    ),
    first(
        "addmv",
        (
            *added((3,), (3, 4), (4,)),
            forward_only(normal(3), normal(3, 0), normal(0), beta=0.5),
            forward_only(normal(2), NAN2, normal(3), alpha=0),
            case(normal(3), normal(3, 4), normal(4)),
            case(normal(3), normal(3, 4), normal(4), beta=0.5, alpha=2),
        ),
        adaptation=ADDED,
    ),
    first(
        "addbmm",
        (
            *added((3, 5), (2, 3, 4), (2, 4, 5)),
            forward_only(normal(3, 5), normal(2, 3, 0), normal(2, 0, 5), beta=0.5),
            forward_only(normal(3, 5), normal(0, 3, 4), normal(0, 4, 5)),
            forward_only(normal(2, 2), NAN3, normal(1, 3, 2), alpha=0),
            forward_only(
                integers(3, 5, dtype="int32"), integers(2, 3, 4, dtype="int32"), integers(2, 4, 5, dtype="int32")
            ),
            case(normal(3, 5), normal(2, 3, 4), normal(2, 4, 5)),
            case(normal(3, 5), normal(2, 3, 4), normal(2, 4, 5), beta=0.5, alpha=2),
        ),
        adaptation=ADDED,
    ),
    first(
        "baddbmm",
        (
            *added((2, 3, 5), (2, 3, 4), (2, 4, 5)),
            forward_only(normal(2, 3, 5), normal(2, 3, 0), normal(2, 0, 5), beta=0.5),
            case(normal(2, 3, 5), normal(2, 3, 4), normal(2, 4, 5)),
            case(normal(3, 5), normal(2, 3, 4), normal(2, 4, 5), beta=0.5, alpha=2),
        ),
        adaptation=ADDED,
    ),
    first(
        "addr",
        (
            *added((3, 4), (3,), (4,)),
            forward_only(normal(3, 4), values(NAN, 1.0, 2.0), normal(4), alpha=0),
            case(normal(3, 4), normal(3), normal(4)),
            case(normal(3, 4), normal(3), normal(4), beta=0.5, alpha=2),
        ),
        "rounding",
        "factors keep their digits; a beta of 0 leaves the input out, NaN included, an alpha of 0 multiplies",
    ),
    first(
        "chain_matmul",
        (case(normal(3, 4), normal(4, 5), normal(5, 2)), forward_only(normal(3, 4), normal(4, 0), normal(0, 2))),
    ),
    float_row(
        "einsum",
        (
            case("ij,jk->ik", normal(3, 4), normal(4, 5)),
            case("bij,bjk->bik", normal(2, 3, 4), normal(2, 4, 5)),
            case("ij->ji", normal(3, 4)),
            case("ij->", normal(3, 4)),
            case("ij,ij->i", normal(3, 4), normal(3, 4)),
            case("bhqd,bhkd->bhqk", normal(2, 2, 3, 4), normal(2, 2, 5, 4)),
            case("i,j->ij", normal(3), normal(4)),
            case("...ij,jk->...ik", normal(2, 3, 4), normal(4, 5)),
            case("ij,jk", normal(3, 4), normal(4, 5)),
            case("ii->", normal(3, 3)),
            case("ii->i", normal(3, 3)),
            case("bii->b", normal(2, 3, 3)),
            case("iij,j->i", normal(3, 3, 4), normal(4)),
            case("iji,jk->ik", normal(3, 4, 3), normal(4, 2)),
            case("ii", normal(3, 3)),
            case("...ij,...jk->...ik", normal(2, 3, 4), normal(2, 4, 5)),
            case("...ij,...jk", normal(2, 3, 4), normal(4, 5)),
            case("...,...->...", normal(2, 3), normal(3)),
            case("ij,ij->ij", normal(3, 1), normal(3, 4)),
            case("ij,jk,kl->il", normal(3, 4), normal(4, 5), normal(5, 2)),
            case("bi,bj->bij", normal(1, 3), normal(2, 4)),
            forward_only("ij,jk->ik", normal(3, 0), normal(0, 4)),
            forward_only("ij->i", normal(3, 0)),
            forward_only("ij,jk->ik", integers(3, 4), integers(4, 2)),
            forward_only("ij,ij->", NAN2, normal(2, 3)),
        ),
        "reduction",
        "products, sums and diagonals over axes, broadcast sizes of 1; over nothing 0",
        targets=("shim.einsum", "mint.einsum", "ops.einsum"),
        refusals=(
            case("ij,jk->ik", normal(3, 4), normal(3, 4)),
            case("ii->i", normal(3, 4)),
            case("ij->k", normal(3, 4)),
            case("ij->ii", normal(3, 4)),
            case("ijk->i", normal(3, 4)),
            case("ij,jk->ik", normal(3, 4)),
        ),
    ),
    float_row(
        "tensordot",
        (
            case(normal(3, 4, 5), normal(4, 5, 2), dims=2),
            case(normal(3, 4), normal(4, 5), 1),
            case(normal(3, 4, 5), normal(4, 3, 2), dims=([1, 0], [0, 1])),
            case(normal(2), normal(3), dims=0),
            forward_only(normal(3, 0), normal(0, 4), 1),
            forward_only(normal(0, 3), normal(3, 4), 1),
        ),
        "reduction",
        "a number or two lists of axes; over nothing 0",
        targets=("shim.tensordot", "mint.tensordot", "ops.tensordot"),
        legacy="numpy.tensordot",
        legacy_call="lambda a, b, dims=2: mnp.tensordot(a, b, dims)",
    ),
    float_row(
        "kron",
        (
            case(normal(2, 3), normal(2, 2)),
            case(normal(3), normal(2)),
            case(normal(2, 2), normal(3)),
            case(normal(0, 3), normal(2, 2)),
        ),
        "rounding",
        NO_SUM,
        targets=("shim.kron",),
    ),
    first(
        "cross",
        (
            case(normal(4, 3), normal(4, 3), dim=1),
            case(normal(3, 4), normal(3, 4), dim=0),
            case(normal(1, 3), normal(5, 3), dim=-1),
            case(normal(2, 1, 3), normal(1, 4, 3), dim=2),
            forward_only(normal(4, 3), normal(4, 3)),
            forward_only(integers(4, 3), integers(1, 3), dim=1),
            forward_only(normal(0, 3), normal(0, 3), dim=1),
        ),
        "reduction",
        "broadcast first: the kernel reads beyond the smaller tensor",
        refusals=(case(normal(4, 3), normal(3), dim=-1), case(normal(4, 2), normal(4, 2), dim=1)),
    ),
    float_row(
        "trace",
        (
            case(normal(3, 3)),
            case(normal(3, 4)),
            case(normal(5, 2)),
            forward_only(integers(3, 3)),
            forward_only(integers(3, 3, dtype="int32")),
            forward_only(integers(3, 3, low=0, high=250, dtype="uint8")),
            forward_only(normal(0, 3)),
            forward_only(normal(3, 3, dtype="float64")),
        ),
        "reduction",
        "int64 for whole numbers, 0 for nothing",
        targets=("shim.trace", "mint.trace", "ops.trace"),
        refusals=(case(normal(3)),),
        legacy="Tensor.trace",
        legacy_call="lambda input: input.trace()",
    ),
    float_row(
        "cdist",
        (
            case(normal(3, 4), normal(5, 4)),
            case(normal(2, 3, 4), normal(2, 5, 4), p=1.0),
            case(normal(2, 3, 4), normal(1, 5, 4), p=3.0),
            forward_only(normal(3, 4), normal(5, 4), float("inf")),
            forward_only(normal(3, 4, dtype="float64"), normal(5, 4, dtype="float64"), p=1.0),
            forward_only(normal(3, 0), normal(5, 0)),
            forward_only(normal(0, 4), normal(5, 4)),
            case(values(0.0, 0.0, 3.0, 4.0, shape=(2, 2)), values(0.0, 0.0, shape=(1, 2))),
        ),
        "reduction",
        "in the inputs' dtype: float64 is not computed in float32",
        targets=("shim.cdist", "mint.cdist", "ops.cdist"),
    ),
)
