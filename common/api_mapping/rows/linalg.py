"""Functions of `torch.linalg`, and those of `torch` that do the same."""

from __future__ import annotations

from common.api_mapping.arrays import normal, spd, uniform, values
from common.api_mapping.row import Row, case, forward_only
from common.api_mapping.rows.pointwise import float_row

NAN = float("nan")

NAN1, NAN2, NAN3 = (values(*[NAN] * 6, shape=shape) for shape in ((6,), (2, 3), (1, 2, 3)))

SINGULAR = (
    forward_only(values(1.0, NAN, 2.0, 3.0, shape=(2, 2))),
    forward_only(normal(0, 0)),
    forward_only(normal(0, 3, 3)),
)

HELD = "NaN where a matrix holds it; takes nothing, over which the kernel may end the process"

EMPTY_NORMS = (
    forward_only(normal(0)),
    forward_only(normal(2, 0), 2, dim=1),
    forward_only(normal(2, 0), 1, dim=1),
    forward_only(normal(2, 0), 0, dim=1),
    forward_only(normal(0, 3), 3, dim=0),
)


def section(
    name: str, cases, tolerance: str = "reduction", adaptation: str = "", targets: tuple[str, ...] = (), **rest
) -> Row:
    """A row of `torch.linalg`."""
    targets = targets or (f"mint.linalg.{name}", f"ops.{name}", *([f"shim.linalg.{name}"] if adaptation else []))
    return Row(f"torch.linalg.{name}", targets, cases, tolerance, adaptation, **rest)


ROWS = (
    float_row(
        "det",
        (case(spd(3)), case(normal(4, 4)), case(normal(2, 3, 3)), case(normal(3, 1, 1)), *SINGULAR),
        "decomposition",
        HELD,
        targets=("shim.linalg.det", "mint.det", "ops.det"),
        refusals=(case(normal(3, 4)),),
    ),
    float_row(
        "inverse",
        (case(spd(3)), case(spd(4)), *SINGULAR),
        "decomposition",
        HELD,
        targets=("shim.linalg.inv", "mint.inverse", "ops.inverse"),
        refusals=(case(normal(3, 4)),),
    ),
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
            *EMPTY_NORMS,
            forward_only(normal(0, 0), "fro"),
            forward_only(NAN2, float("inf")),
            forward_only(normal(2, 3, 4), "nuc", dim=(0, 2)),
            forward_only(normal(3, 4), -2),
        ),
        refusals=(case(normal(0), float("inf")), case(normal(2, 3, 4), 2), case(normal(3, 4), "abc")),
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
            *EMPTY_NORMS,
            *(forward_only(uniform(3, 4, low=200.0, high=400.0, dtype="float16", fixed=True), p) for p in (2, 6)),
            forward_only(NAN2, float("-inf"), 1),
            forward_only(NAN2, float("inf"), 1),
        ),
        adaptation="any order over any axes; float16 is computed in float32",
        targets=("shim.linalg.vector_norm", "mint.linalg.vector_norm", "ops.vector_norm"),
        refusals=(case(normal(0), float("inf")), case(normal(2, 0), -1, 1)),
    ),
    section(
        "matrix_norm",
        (
            case(normal(3, 4)),
            forward_only(normal(3, 4), 1),
            forward_only(normal(3, 4), float("inf")),
            case(normal(2, 3, 4), "fro"),
            case(values(0.0, 0.0, 0.0, 0.0, shape=(2, 2))),
            *(forward_only(normal(2, 3, 4), p) for p in (-1, float("-inf"), 2, -2, "nuc")),
            *(forward_only(normal(2, 3, 4), p, (0, 2), True) for p in (1, float("inf"), "nuc")),
            *(forward_only(NAN2, p) for p in (1, -1, float("inf"), "fro")),
            forward_only(normal(0, 3), "fro"),
            forward_only(normal(3, 4, dtype="float64"), 1),
            forward_only(normal(3, 4, dtype="float64"), "nuc"),
        ),
        adaptation="the gradient at zero is 0, where the kernel's is NaN; NaN spreads",
        limits={"float64 3x4 normal, nuc": "MindSpore's singular values are float32"},
        refusals=(case(normal(3, 4), 3), case(normal(3, 4), "abc"), case(normal(3))),
    ),
    section(
        "det",
        (case(spd(3)), case(normal(4, 4)), *SINGULAR),
        "decomposition",
        HELD,
        ("shim.linalg.det", "mint.linalg.det", "ops.det"),
    ),
    section(
        "slogdet",
        (case(spd(3)), forward_only(normal(2, 4, 4)), *SINGULAR),
        "decomposition",
        HELD,
        ("shim.linalg.slogdet", "mint.linalg.slogdet", "ops.slogdet"),
    ),
    section("inv", (case(spd(3)), case(spd(4)), *SINGULAR), "decomposition", f"has a gradient; {HELD}"),
    section(
        "solve",
        (case(spd(3), normal(3, 2)), case(spd(4), normal(4)), forward_only(normal(0, 0), normal(0, 2))),
        "decomposition",
        "vectors too, and nothing",
        ("shim.linalg.solve", "mint.linalg.solve", "ops.solve"),
    ),
    section(
        "cholesky",
        (case(spd(3)), case(spd(4)), case(spd(3), upper=True), forward_only(normal(0, 0))),
        "decomposition",
        "has a gradient; takes nothing, over which the kernel ends the process",
        ("shim.linalg.cholesky",),
    ),
    section(
        "solve_triangular",
        (
            case(spd(3), normal(3, 2), upper=True),
            case(spd(4), normal(4, 4), upper=False),
            case(spd(3), normal(2, 3), upper=True, left=False),
            case(spd(3), normal(3, 2), upper=False, unitriangular=True),
            forward_only(normal(0, 0), normal(0, 2), upper=True),
            case(spd(3), normal(2, 3, 2), upper=False),
            forward_only(values(1.0, float("nan"), 0.5, 2.0, shape=(2, 2)), normal(2, 3), upper=True),
            forward_only(values(1.0, float("nan"), 0.5, 2.0, shape=(2, 2)), normal(2, 3), upper=False),
        ),
        "decomposition",
        "row after row: NaN spreads as in torch, and what is not read may be NaN; takes nothing",
        ("shim.linalg.solve_triangular",),
        refusals=(case(normal(3, 2), normal(3, 2), upper=True),),
    ),
    section(
        "matrix_power",
        (
            case(normal(3, 3), 2),
            case(normal(3, 3), 0),
            case(normal(2, 3, 3), 3),
            forward_only(normal(2, 3, 3, dtype="float64"), 5),
            forward_only(spd(3), -2),
            forward_only(normal(0, 3, 3), 2),
        ),
        "reduction",
        "by squaring in the dtype of the matrix: the kernel computes float64 in float32",
        refusals=(case(normal(3, 4), 2),),
    ),
    section(
        "multi_dot",
        (
            case([normal(3, 4), normal(4, 5), normal(5, 2)]),
            case([normal(3, 4), normal(4, 5)]),
            case([normal(4), normal(4, 5), normal(5)]),
            forward_only([normal(2, 0), normal(0, 2)]),
            forward_only([normal(5, 4), normal(4, 0), normal(0, 2)]),
        ),
        "reduction",
        "left to right; over nothing 0",
        ("shim.linalg.multi_dot", "mint.linalg.multi_dot", "ops.multi_dot"),
        refusals=(case([normal(3, 4)]),),
    ),
    section(
        "vecdot",
        (
            case(normal(3, 4), normal(3, 4)),
            case(normal(3, 4), normal(3, 4), dim=0),
            case(normal(3, 4), normal(4)),
            forward_only(normal(0), normal(0)),
            forward_only(normal(2, 0), normal(2, 0)),
            forward_only(normal(0, 1), normal(0, 1), dim=0),
        ),
        "reduction",
        "along one axis; over nothing 0",
        ("shim.linalg.vecdot", "mint.linalg.vecdot", "ops.vecdot"),
    ),
    section(
        "qr",
        (
            case(normal(3, 3)),
            case(normal(5, 3)),
            case(normal(3, 5)),
            case(normal(2, 4, 3)),
            case(normal(4, 3, dtype="float64")),
            case(normal(3, 5), "complete"),
            case(normal(4, 4), mode="complete"),
            forward_only(normal(0, 3)),
        ),
        "decomposition",
        "has a gradient; takes nothing",
        ("shim.qr",),
        refusals=(case(normal(3)), case(normal(3, 3), mode="abc")),
    ),
)
