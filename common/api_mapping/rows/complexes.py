"""Complex numbers: how they are made of real ones, and their parts."""

from __future__ import annotations

from dataclasses import replace

from common.api_mapping.arrays import boolean, integers, normal, strided, uniform, values
from common.api_mapping.grids import INFINITE
from common.api_mapping.row import Row, alias, case, forward_only

C64, C128 = "complex64", "complex128"
SINGLE = normal(3, 4, dtype=C64)
CALLS = (
    case(SINGLE),
    case(strided(SINGLE)),
    case(normal(2, 3, dtype=C128)),
    case(normal(dtype=C64)),
    forward_only(normal(0, 3, dtype=C64)),
    case(values(0j, 1j, -1j, 1 + 0j, -1 + 0j, 3 - 4j, dtype=C64)),
)
REALS = (
    case(normal(3, 4)),
    forward_only(integers(3, 4)),
    forward_only(boolean(3)),
    case(normal(3, dtype="float64")),
)
PAIRS = (
    case(normal(3, 4), normal(3, 4)),
    case(normal(3, 1), normal(4)),
    case(normal(), normal(3)),
    case(normal(2, 3, dtype="float64"), normal(3, dtype="float64")),
    case(strided(normal(3, 4)), normal(3, 4)),
    forward_only(normal(0, 3), normal(3)),
)
LENGTHS = uniform(3, 4, low=0.1, high=3.0)
MIXED = (case(normal(3), normal(3, dtype="float64")), case(integers(3), integers(3)), case(normal(2, 3), normal(2)))


def _row(name: str, cases, tolerance: str, adaptation: str, shim: str = "", **rest) -> Row:
    return Row(f"torch.{name}", (f"shim.{shim or name}",), tuple(cases), tolerance, adaptation, **rest)


_ANGLE = _row(
    "angle",
    (*CALLS, *REALS, forward_only(INFINITE)),
    "transcendental",
    "real numbers too, NaN stays; the kernel has no gradient",
)
_CONJ = _row("conj", (*CALLS, *REALS), "exact", "real numbers stay; a copy, where torch gives a view")
_REAL = _row("real", (*CALLS, *REALS), "exact", "real numbers stay; a copy, where torch gives a view")
_SGN = _row(
    "sgn",
    (*CALLS, case(normal(3, 4)), forward_only(integers(3, 4)), forward_only(INFINITE), forward_only(boolean(3))),
    "transcendental",
    "0 where the number is 0; NaN stays",
)
_ISREAL = _row(
    "isreal", tuple(replace(tried, gradient=False) for tried in (*CALLS, *REALS)), "exact", "also of real numbers"
)


def _method(row: Row) -> Row:
    """The method that does the same."""
    return alias(row, row.name.replace("torch.", "torch.Tensor."))


ROWS = (
    _row("complex", PAIRS, "exact", "broadcast first; dtypes are checked", refusals=MIXED),
    _row(
        "polar",
        (
            case(LENGTHS, normal(3, 4)),
            case(strided(LENGTHS), normal(4)),
            case(replace(LENGTHS, dtype="float64"), normal(3, 4, dtype="float64")),
            forward_only(normal(3, 1), normal(4)),
            forward_only(normal(), normal(3)),
            forward_only(normal(0, 3), normal(3)),
            forward_only(values(1.0, 0.0, -2.0), values(0.0, 1.0, 3.0)),
        ),
        "transcendental",
        "by cosine and sine; broadcast first",
        note="Of a negative length torch's gradient has the sign of a positive one; here it is that of the formula.",
        refusals=MIXED,
    ),
    _row(
        "view_as_real",
        CALLS,
        "exact",
        "a copy, where torch gives a view",
        refusals=(case(normal(3)),),
    ),
    _row(
        "view_as_complex",
        (
            case(normal(3, 4, 2)),
            case(normal(2)),
            case(normal(3, 2, dtype="float64")),
        ),
        "exact",
        "a copy, where torch gives a view",
        refusals=(case(normal(3)), case(normal(3, 4)), case(integers(3, 2))),
    ),
    _REAL,
    _row(
        "imag",
        CALLS,
        "exact",
        "real numbers are refused, as in torch; a copy, where torch gives a view",
        refusals=(case(normal(3)),),
    ),
    _CONJ,
    alias(_CONJ, "torch.conj_physical"),
    _row("resolve_conj", (*CALLS, *REALS), "exact", "no conjugate is kept aside", "resolved"),
    _row("resolve_neg", (*CALLS, *REALS), "exact", "no sign is kept aside", "resolved"),
    _ANGLE,
    _SGN,
    _ISREAL,
    *map(_method, (_ANGLE, _CONJ, _SGN, _ISREAL)),
)
