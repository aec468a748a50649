"""Factorizations of matrices, and what is made of them."""

from __future__ import annotations

from dataclasses import replace

from common.api_mapping.arrays import Array, integers, normal, spd, strided, values
from common.api_mapping.row import Case, Row, case, forward_only

NAN = float("nan")
TALL, WIDE, SQUARE = normal(5, 3), normal(3, 5), normal(4, 4)
SIGNS_OF_PAIRS = "lambda u, s, vh: (u.abs(), s, vh.abs(), (u * s.unsqueeze(-2)) @ vh)"
SIGNS_OF_V = "lambda u, s, v: (u.abs(), s, v.abs())"
SIGNS_OF_VECTORS = "lambda w, v: (w, v.abs(), (v * w.unsqueeze(-2)) @ v.swapaxes(-1, -2))"
BY_CHANGE = "the kernel's result plus its derivative; takes nothing"
MATRICES = (
    case(TALL),
    case(WIDE),
    case(SQUARE),
    case(normal(2, 4, 3)),
    case(normal(4, 3, dtype="float64")),
    case(strided(SQUARE)),
    case(normal(1, 3)),
    forward_only(normal(0, 3)),
    forward_only(normal(0, 3, 3)),
)
HOLED = forward_only(values(1.0, NAN, 2.0, 3.0, shape=(2, 2)))
NO_MATRICES = (case(normal(3)), case(integers(3, 3)), case(values(NAN, 1.0, 2.0, 3.0, shape=(2, 2))))


def _double(size: int) -> Array:
    return Array("spd", (size, size), "float64")


def _reduced(calls: tuple[Case, ...]) -> tuple[Case, ...]:
    return tuple(Case(call.arguments, {"full_matrices": False}, call.gradient) for call in calls)


def section(name: str, calls, adaptation: str = BY_CHANGE, shim: str = "", **rest) -> Row:
    """A row of `torch.linalg`."""
    tolerance = rest.pop("tolerance", "decomposition")
    return Row(f"torch.linalg.{name}", (f"shim.{shim or name}",), tuple(calls), tolerance, adaptation, **rest)


def plain(name: str, calls, adaptation: str = BY_CHANGE, shim: str = "", **rest) -> Row:
    """A row of `torch`."""
    tolerance = rest.pop("tolerance", "decomposition")
    return Row(f"torch.{name}", (f"shim.{shim or name}",), tuple(calls), tolerance, adaptation, **rest)


SYMMETRIC = (
    case(spd(3)),
    case(normal(4, 4)),
    case(normal(2, 3, 3)),
    case(_double(4)),
    case(strided(SQUARE)),
    case(normal(1, 1)),
    forward_only(normal(0, 0)),
    forward_only(normal(0, 3, 3)),
)
EIGEN = (*SYMMETRIC, case(SQUARE, "U"), case(SQUARE, UPLO="L"))
NO_SQUARE = (*NO_MATRICES[:2], case(normal(3, 4)))
LOWER = values(1.5, 0.0, 0.0, -0.5, 2.0, 0.0, 0.25, 1.0, 0.75, shape=(3, 3))
UPPER = values(1.5, -0.5, 0.25, 0.0, 2.0, 1.0, 0.0, 0.0, 0.75, shape=(3, 3))
FACTOR = (
    case(LOWER),
    case(replace(LOWER, dtype="float64")),
    case(UPPER, upper=True),
    forward_only(spd(3)),
    forward_only(normal(0, 0)),
)
RANKS = (
    forward_only(TALL),
    forward_only(values(1.0, 2.0, 2.0, 4.0, shape=(2, 2))),
    forward_only(normal(2, 3, 3)),
    forward_only(SQUARE, atol=1.0),
    forward_only(SQUARE, rtol=0.5),
    forward_only(spd(3), hermitian=True),
    forward_only(normal(4, 3, dtype="float64")),
    forward_only(normal(0, 3)),
    forward_only(normal(2, 0, 3)),
)
INVERSES = (
    case(TALL),
    case(WIDE),
    case(spd(3)),
    case(normal(2, 4, 3)),
    case(normal(4, 3, dtype="float64")),
    case(spd(3), hermitian=True),
    forward_only(values(1.0, 2.0, 2.0, 4.0, shape=(2, 2))),
    case(TALL, rtol=1e-3),
    forward_only(SQUARE, atol=1.0),
    forward_only(normal(0, 3)),
)
EXPONENTS = (
    case(SQUARE),
    case(normal(2, 3, 3)),
    case(normal(3, 3, dtype="float64")),
    case(strided(SQUARE)),
    case(values(0.0, 0.0, 0.0, 0.0, shape=(2, 2))),
    case(spd(3)),
    case(values(0.0, 50.0, -50.0, 0.0, shape=(2, 2))),
    case(normal(1, 1)),
    forward_only(normal(0, 0)),
    forward_only(normal(0, 3, 3)),
)
POWERS = (
    forward_only(normal(4)),
    forward_only(normal(4), 3),
    forward_only(integers(3)),
    forward_only(normal(3), N=5),
)

ROWS = (
    section("svd", _reduced(MATRICES), through=SIGNS_OF_PAIRS, refusals=NO_MATRICES, note="Signs of vectors are free."),
    section("svdvals", MATRICES, refusals=NO_MATRICES),
    section("eigh", EIGEN, through=SIGNS_OF_VECTORS, refusals=NO_SQUARE, note="Signs of vectors are free."),
    section("eigvalsh", EIGEN, refusals=NO_SQUARE),
    section(
        "lu",
        (*SYMMETRIC,),
        "square matrices",
        through="lambda p, l, u: (l, u, p @ l @ u)",
        note="Other matrices raise an error, as without pivoting.",
    ),
    section("lu_factor", (*SYMMETRIC,), "square matrices", note="Other matrices raise an error, as without pivoting."),
    section("pinv", INVERSES, refusals=NO_MATRICES),
    section("matrix_rank", RANKS, "by singular values; takes nothing", tolerance="exact", refusals=NO_MATRICES),
    section(
        "cond",
        (
            case(TALL),
            case(SQUARE, 2),
            case(SQUARE, -2),
            forward_only(spd(3), "fro"),
            forward_only(spd(3), 1),
            forward_only(spd(3), float("inf")),
            forward_only(spd(3), "nuc"),
            forward_only(_double(3), 1),
            forward_only(normal(0, 3, 3)),
        ),
        "by singular values or norms; takes nothing",
        refusals=(case(normal(3)), case(normal(3, 4), 1)),
    ),
    section(
        "lstsq",
        (
            case(TALL, normal(5, 2)),
            case(SQUARE, normal(4, 2)),
            case(normal(2, 5, 3), normal(2, 5, 2)),
            case(normal(5, 3, dtype="float64"), normal(5, 2, dtype="float64")),
            case(WIDE, normal(3, 2)),
        ),
        "by the pseudoinverse",
        refusals=(case(normal(3, 3), normal(4, 2)), case(normal(3), normal(3))),
    ),
    section("matrix_exp", EXPONENTS, "a series and squarings; takes nothing", refusals=(case(normal(3, 4)),)),
    section(
        "tensorinv",
        (case(normal(2, 3, 6)), case(normal(4, 2, 2), ind=1)),
        "an inverse of matrices",
        refusals=(case(normal(2, 3, 5)), case(normal(4, 4), ind=0)),
    ),
    section(
        "tensorsolve",
        (
            case(normal(2, 3, 6), normal(2, 3)),
            case(normal(6, 2, 3), normal(6)),
            case(normal(6, 2, 3), normal(2, 3), dims=(0,)),
        ),
        "a solution of matrices",
        refusals=(case(normal(2, 3, 5), normal(2, 3)),),
    ),
    section(
        "vander",
        (
            case(normal(4)),
            case(normal(2, 3)),
            case(normal(4), N=3),
            forward_only(integers(3)),
            case(normal(3, dtype="float64"), N=5),
        ),
        "powers by products; whole numbers become int64",
        tolerance="reduction",
        refusals=(case(normal()), case(normal(3), N=1)),
    ),
    plain(
        "vander",
        (*POWERS, forward_only(normal(4), increasing=True)),
        "powers by products",
        "vander_",
        tolerance="reduction",
    ),
    plain(
        "svd", MATRICES, BY_CHANGE, "svd_", through=SIGNS_OF_V, note="Signs of vectors are free.", refusals=NO_MATRICES
    ),
    plain("qr", MATRICES, "has a gradient; takes nothing", "qr_", refusals=NO_MATRICES[:2]),
    plain("pinverse", (case(TALL), case(normal(2, 3, 4)), case(spd(3), 1e-3), forward_only(normal(0, 3)))),
    plain(
        "logdet",
        (case(spd(3)), case(normal(4, 4)), case(_double(3)), forward_only(normal(0, 0)), HOLED),
        "NaN where negative; takes nothing",
        refusals=NO_SQUARE[2:],
    ),
    plain("matrix_exp", EXPONENTS, "a series and squarings; takes nothing", refusals=(case(normal(3, 4)),)),
    plain("cholesky_inverse", FACTOR, "has a gradient; one triangle is read; takes nothing"),
    plain(
        "cholesky_solve",
        (
            case(normal(3, 2), LOWER),
            case(normal(2, 3, 1), LOWER),
            case(normal(3, 2), UPPER, upper=True),
            case(normal(3, 2, dtype="float64"), replace(LOWER, dtype="float64")),
            forward_only(normal(3, 2), spd(3)),
            forward_only(normal(0, 2), normal(0, 0)),
        ),
        "has a gradient; one triangle is read; takes nothing",
    ),
    plain(
        "vdot",
        (
            case(normal(5), normal(5)),
            forward_only(integers(5), integers(5)),
            forward_only(normal(0), normal(0)),
            case(normal(5, dtype="float64"), normal(5, dtype="float64")),
        ),
        "0 for nothing",
        tolerance="reduction",
        refusals=(case(normal(3), normal(4)), case(normal(2, 2), normal(2, 2))),
    ),
)
