"""Values put at places, and parts of a tensor that are replaced."""

from __future__ import annotations

from common.api_mapping.arrays import boolean, integers, normal, strided, values
from common.api_mapping.row import Row, alias, case, forward_only

INT = "int64"
REPEATED = values(0, 2, 0, 1, 2, 2, shape=(2, 3), dtype=INT)
VECTOR = values(3, 0, 3, 1, 0, dtype=INT)
NAN = float("nan")
HOLED = values(1.0, NAN, 3.0, 2.0, 0.0, 0.0, shape=(2, 3))


def _reductions() -> tuple:
    tried = []
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        tried += [
            case(normal(3, 3), 0, REPEATED, normal(2, 3), reduce),
            case(normal(4), 0, VECTOR, normal(5), reduce, include_self=False),
            forward_only(integers(3, 3), 0, REPEATED, integers(2, 3), reduce),
            forward_only(normal(3, 3), 0, REPEATED, HOLED, reduce),
        ]
    tried += [
        case(normal(3, 4, dtype="float64"), 1, REPEATED, normal(2, 3, dtype="float64"), "sum"),
        case(strided(normal(3, 3)), 0, REPEATED, normal(2, 3), "amax"),
        case(values(1.0, 1.0, 2.0), 0, values(0, 1, 1, dtype=INT), values(1.0, 3.0, 3.0), "amax"),
        case(values(0.0, 1.0, 2.0), 0, values(0, 1, 1, dtype=INT), values(2.0, 0.0, 3.0), "prod"),
        forward_only(normal(), 0, values(0, shape=(), dtype=INT), normal(), "amin"),
        forward_only(normal(3), 0, values(dtype=INT), normal(0), "sum"),
    ]
    return tuple(tried)


_REDUCE = Row(
    "torch.scatter_reduce",
    ("shim.scatter_reduce",),
    _reductions(),
    "reduction",
    "repeated places, in order; the gradient of an extreme is shared; NaN spreads",
    refusals=(
        case(normal(3), 0, values(3, dtype=INT), normal(1), "sum"),
        case(normal(3), 0, values(1, dtype=INT), normal(1), "abc"),
        case(normal(3), 0, values(1, dtype=INT), integers(1), "sum"),
    ),
)
_PUT = Row(
    "torch.index_put",
    ("shim.index_put",),
    (
        case(normal(4), (VECTOR,), normal(5), True),
        case(normal(3, 4), (values(0, 2, dtype=INT), values(1, -1, dtype=INT)), normal(2)),
        case(normal(3, 4), (values(0, 2, dtype=INT),), normal(2, 4)),
        case(normal(3, 4), (values(0, 2, 0, dtype=INT),), normal(4), accumulate=True),
        case(strided(normal(3, 3)), (values(0, 2, shape=(2, 1), dtype=INT), values(0, 1, dtype=INT)), normal()),
        case(normal(3, 4, dtype="float64"), (values(1, dtype=INT),), normal(1, 4, dtype="float64")),
        forward_only(integers(4), [VECTOR], integers(5), accumulate=True),
        forward_only(boolean(4), (values(1, 2, dtype=INT),), boolean(2)),
        forward_only(normal(3), (values(dtype=INT),), normal(0)),
    ),
    "exact",
    "repeated places, negative ones; values are broadcast",
    note="Masks are for eager mode.",
    refusals=(
        case(normal(3), (values(3, dtype=INT),), normal(1)),
        case(normal(3), (values(1, dtype=INT), values(1, dtype=INT)), normal(1)),
        case(normal(3), (values(1, dtype=INT),), integers(1)),
    ),
)
_FLAT = Row(
    "torch.put",
    ("shim.put",),
    (
        case(normal(3, 4), values(0, 5, -1, dtype=INT), normal(3)),
        case(normal(3, 4), values(0, 5, 0, dtype=INT), normal(3), True),
        case(normal(3, 4), values(0, 5, 7, 8, shape=(2, 2), dtype=INT), normal(2, 2), accumulate=False),
        forward_only(integers(3), values(1, dtype=INT), integers(1)),
        forward_only(normal(3), values(dtype=INT), normal(0)),
    ),
    "exact",
    "repeated places, negative ones",
    refusals=(case(normal(3), values(3, dtype=INT), normal(1)), case(normal(3), values(1, dtype=INT), normal(2))),
)
_SELECT = Row(
    "torch.select_scatter",
    ("shim.select_scatter",),
    (
        case(normal(3, 4), normal(4), 0, 1),
        case(normal(3, 4), normal(3), 1, -1),
        case(strided(normal(3, 3)), normal(3), dim=0, index=2),
        forward_only(integers(3, 4), integers(3), 1, 0),
        case(normal(3, dtype="float64"), normal(dtype="float64"), 0, 1),
    ),
    "exact",
    "pieces joined",
    refusals=(case(normal(3, 4), normal(4), 0, 3), case(normal(3, 4), normal(3), 0, 1)),
)
_SLICE = Row(
    "torch.slice_scatter",
    ("shim.slice_scatter",),
    (
        case(normal(5, 4), normal(2, 4), 0, 1, 3),
        case(normal(5, 4), normal(5, 2), 1, start=2),
        case(normal(5, 4), normal(3, 4), step=2),
        case(normal(5, 4), normal(2, 4), start=-2),
        case(strided(normal(3, 3)), normal(1, 3), end=1),
        forward_only(integers(5), integers(2), 0, 1, 3),
        forward_only(normal(5), normal(0), 0, 3, 3),
    ),
    "exact",
    "pieces joined",
    refusals=(case(normal(5, 4), normal(3, 4), 0, 1, 3), case(normal(5), normal(5), step=0)),
)
_DIAGONAL = Row(
    "torch.diagonal_scatter",
    ("shim.diagonal_scatter",),
    (
        case(normal(3, 4), normal(3)),
        case(normal(3, 4), normal(3), 1),
        case(normal(3, 4), normal(2), offset=-1),
        case(normal(2, 3, 4), normal(3, 2), 0, 0, 2),
        forward_only(integers(3, 3), integers(3)),
    ),
    "exact",
    "places on the diagonal, as constants of a graph",
    refusals=(case(normal(3, 4), normal(4)),),
)
_FLAT_DIAGONAL = Row(
    "torch.diagflat",
    ("shim.diagflat",),
    (
        case(normal(3)),
        case(normal(2, 2)),
        case(normal(3), 1),
        case(normal(3), offset=-2),
        forward_only(integers(3)),
        forward_only(normal(0)),
        case(normal()),
        case(normal(3, dtype="float64")),
    ),
    "exact",
    "places on the diagonal, as constants of a graph; takes nothing",
)
FUNCTIONS = (_REDUCE, _PUT, _FLAT, _SELECT, _SLICE, _DIAGONAL, _FLAT_DIAGONAL)
ROWS = (*FUNCTIONS, *(alias(row, row.name.replace("torch.", "torch.Tensor.")) for row in FUNCTIONS))
