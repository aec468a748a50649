"""Matrix products and linear algebra."""

from __future__ import annotations

from common.api_mapping.arrays import integers, normal, spd, strided, uniform, values, wide
from common.api_mapping.row import Row, case, forward_only
from common.api_mapping.rows.pointwise import float_row, plain

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


def section(
    name: str, cases, tolerance: str = "reduction", adaptation: str = "", targets: tuple[str, ...] = (), **rest
) -> Row:
    """A row of `torch.linalg`."""
    targets = targets or (f"mint.linalg.{name}", f"ops.{name}", *([f"shim.linalg.{name}"] if adaptation else []))
    return Row(f"torch.linalg.{name}", targets, cases, tolerance, adaptation, **rest)


ROWS = (
    float_row(
        "matmul",
        (*MATMUL, forward_only(normal(2, 2, 0), normal(0, 3))),
        "reduction",
        "over nothing it is 0, where the kernel returns what happens to be in memory",
        targets=("shim.matmul", "mint.matmul", "ops.matmul"),
    ),
    plain(
        "mm",
        (MATMUL[0], MATMUL[6], MATMUL[9], forward_only(integers(3, 4), integers(4, 2))),
        "reduction",
        legacy="ops.MatMul",
        legacy_call="lambda input, mat2: ops.MatMul()(input, mat2)",
    ),
    plain(
        "bmm",
        (
            case(normal(2, 3, 4), normal(2, 4, 5)),
            case(strided(normal(2, 4, 4)), normal(2, 4, 5)),
            forward_only(integers(2, 3, 4), integers(2, 4, 2)),
        ),
        "reduction",
    ),
    plain("mv", (case(normal(3, 4), normal(4)), case(strided(normal(4, 4)), normal(4))), "reduction"),
    float_row(
        "dot", (case(normal(5), normal(5)), forward_only(integers(5), integers(5))), "reduction", "whole numbers"
    ),
    plain(
        "inner", (case(normal(5), normal(5)), case(normal(3, 4), normal(5, 4)), case(normal(), normal(3))), "reduction"
    ),
    plain("outer", (case(normal(3), normal(4)), forward_only(integers(3), integers(4))), "rounding"),
    plain("ger", (case(normal(3), normal(4)),), "rounding"),
    plain(
        "addmm",
        (
            case(normal(3, 5), normal(3, 4), normal(4, 5)),
            case(normal(5), normal(3, 4), normal(4, 5), beta=0.5, alpha=2),
        ),
        "reduction",
    ),
    plain(
        "addmv",
        (case(normal(3), normal(3, 4), normal(4)), case(normal(3), normal(3, 4), normal(4), beta=0.5, alpha=2)),
        "reduction",
    ),
    plain(
        "addbmm",
        (
            case(normal(3, 5), normal(2, 3, 4), normal(2, 4, 5)),
            case(normal(3, 5), normal(2, 3, 4), normal(2, 4, 5), beta=0.5, alpha=2),
        ),
        "reduction",
    ),
    plain(
        "baddbmm",
        (
            case(normal(2, 3, 5), normal(2, 3, 4), normal(2, 4, 5)),
            case(normal(3, 5), normal(2, 3, 4), normal(2, 4, 5), beta=0.5, alpha=2),
        ),
        "reduction",
    ),
    plain(
        "addr",
        (case(normal(3, 4), normal(3), normal(4)), case(normal(3, 4), normal(3), normal(4), beta=0.5, alpha=2)),
        "rounding",
    ),
    float_row("chain_matmul", (case(normal(3, 4), normal(4, 5), normal(5, 2)),), "reduction", "left to right"),
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
        ),
        "reduction",
        "products and sums over axes; no diagonals",
    ),
    float_row(
        "tensordot",
        (
            case(normal(3, 4, 5), normal(4, 5, 2), dims=2),
            case(normal(3, 4), normal(4, 5), 1),
            case(normal(3, 4, 5), normal(4, 3, 2), dims=([1, 0], [0, 1])),
            case(normal(2), normal(3), dims=0),
        ),
        "reduction",
        "a number or two lists of axes",
        legacy="numpy.tensordot",
        legacy_call="lambda a, b, dims=2: mnp.tensordot(a, b, dims)",
    ),
    plain(
        "kron",
        (case(normal(2, 3), normal(2, 2)), case(normal(3), normal(2)), case(normal(2, 2), normal(3))),
        "rounding",
    ),
    plain("cross", (case(normal(4, 3), normal(4, 3), dim=1), case(normal(3, 4), normal(3, 4), dim=0)), "reduction"),
    plain(
        "trace",
        (case(normal(3, 3)), case(normal(3, 4)), forward_only(integers(3, 3))),
        "reduction",
        legacy="Tensor.trace",
        legacy_call="lambda input: input.trace()",
    ),
    plain("cdist", (case(normal(3, 4), normal(5, 4)), case(normal(2, 3, 4), normal(2, 5, 4), p=1.0)), "reduction"),
    plain("det", (case(spd(3)), case(normal(4, 4)), case(normal(2, 3, 3))), "decomposition"),
    plain("inverse", (case(spd(3)), case(spd(4))), "decomposition"),
    section(
        "norm",
        (
            case(normal(3, 4)),
            case(normal(3, 4), dim=1),
            case(normal(3, 4), 2, dim=0, keepdim=True),
            case(normal(5), 3),
            forward_only(normal(5), float("inf")),
            case(normal(3, 4), "fro"),
            forward_only(normal(3, 4), 1),
            case(values(0.0, 0.0, 3.0, 4.0, shape=(2, 2)), dim=1),
        ),
        adaptation="MindSpore's kernel, LpNorm, leaves the calling thread taking subnormal numbers for zero, in NumPy and torch as well",
        targets=("shim.linalg.norm", "mint.linalg.norm", "ops.norm"),
    ),
    section(
        "vector_norm",
        (
            case(normal(3, 4)),
            case(normal(3, 4), 1, dim=1),
            case(normal(3, 4), ord=3, dim=0, keepdim=True),
            forward_only(normal(3, 4), float("inf")),
            case(normal(2, 3, 4), dim=(1, 2)),
            forward_only(normal(5), 0),
            case(values(0.0, 0.0, 3.0, 4.0, shape=(2, 2)), dim=1),
        ),
        adaptation="any order over any axes",
    ),
    section(
        "matrix_norm",
        (
            case(normal(3, 4)),
            forward_only(normal(3, 4), 1),
            forward_only(normal(3, 4), float("inf")),
            case(normal(2, 3, 4), "fro"),
            case(values(0.0, 0.0, 0.0, 0.0, shape=(2, 2))),
        ),
        adaptation="the gradient at zero is 0, where the kernel's is NaN",
    ),
    section("det", (case(spd(3)), case(normal(4, 4))), "decomposition"),
    section("slogdet", (case(spd(3)), forward_only(normal(2, 4, 4))), "decomposition"),
    section("inv", (case(spd(3)), case(spd(4))), "decomposition", "has a gradient"),
    section("solve", (case(spd(3), normal(3, 2)), case(spd(4), normal(4))), "decomposition", "vectors too"),
    section("cholesky", (case(spd(3)), case(spd(4))), "decomposition", "has a gradient"),
    section("matrix_power", (case(normal(3, 3), 2), case(normal(3, 3), 0), case(normal(2, 3, 3), 3)), "reduction"),
    section(
        "multi_dot",
        (case([normal(3, 4), normal(4, 5), normal(5, 2)]), case([normal(3, 4), normal(4, 5)])),
        "reduction",
        "left to right",
    ),
    section(
        "vecdot",
        (case(normal(3, 4), normal(3, 4)), case(normal(3, 4), normal(3, 4), dim=0)),
        "reduction",
        "along one axis",
    ),
    section("qr", (forward_only(uniform(3, 3, low=0.5, high=2.0)),), "decomposition"),
)
