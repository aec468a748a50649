"""Other names of functions and methods that stand in other files."""

from __future__ import annotations

from common.api_mapping.arrays import boolean, integers, normal, strided
from common.api_mapping.row import Row, alias, case, forward_only
from common.api_mapping.rows import arithmetic, factorization, indexing, linalg, pointwise, products, shape

#: New name: the row that it repeats.
NAMES = {
    "arccosh": "acosh",
    "arcsinh": "asinh",
    "arctanh": "atanh",
    "arctan2": "atan2",
    "Tensor.arccosh": "acosh",
    "Tensor.arcsinh": "asinh",
    "Tensor.arctanh": "atanh",
    "Tensor.arctan2": "atan2",
    "Tensor.fix": "trunc",
    "moveaxis": "movedim",
    "Tensor.moveaxis": "movedim",
    "Tensor.bitwise_left_shift": "bitwise_left_shift",
    "Tensor.bitwise_right_shift": "bitwise_right_shift",
    "Tensor.ldexp": "ldexp",
    "Tensor.masked_scatter": "masked_scatter",
    "matrix_power": "linalg.matrix_power",
    "Tensor.matrix_power": "linalg.matrix_power",
    "Tensor.matrix_exp": "linalg.matrix_exp",
    "cholesky": "linalg.cholesky",
    "Tensor.cholesky": "linalg.cholesky",
    "slogdet": "linalg.slogdet",
    "Tensor.slogdet": "linalg.slogdet",
    "linalg.matmul": "matmul",
    "row_stack": "vstack",
    "Tensor.logdet": "logdet",
    "Tensor.pinverse": "pinverse",
    "Tensor.svd": "svd",
    "Tensor.qr": "qr",
    "Tensor.vdot": "vdot",
    "Tensor.cholesky_inverse": "cholesky_inverse",
    "Tensor.cholesky_solve": "cholesky_solve",
}


def _repeated() -> tuple[Row, ...]:
    sources = (arithmetic, factorization, indexing, linalg, pointwise, products, shape)
    known = {row.name: row for source in sources for row in source.ROWS}
    made = []
    for name, function in NAMES.items():
        row = known[f"torch.{function}"]
        shim = (row.shim,) if row.shim else row.targets
        made.append(alias(row, f"torch.{name}", targets=shim))
    return tuple(made)


CUBE = normal(2, 4, 6)
_SPLIT = Row(
    "torch.split_with_sizes",
    ("shim.split",),
    (
        case(normal(6, 4), [1, 2, 3]),
        case(normal(3, 4), [3, 1], 1),
        case(strided(normal(4, 4)), [2, 2], dim=-1),
        forward_only(integers(3), [0, 3]),
    ),
    "exact",
    "sizes in a list",
    refusals=(case(normal(6, 4), [1, 2]),),
)


def _axis_split(name: str, least: int) -> Row:
    one = (case(normal(6), 3), case(normal(6), [2, 4])) if name == "hsplit" else ()
    return Row(
        f"torch.{name}",
        (f"shim.{name}",),
        (
            *one,
            case(CUBE, 2),
            case(CUBE, [1, 2]),
            forward_only(integers(2, 4, 6), 2),
            forward_only(boolean(2, 2, 2), (1,)),
        ),
        "exact",
        "parts of one size, or places",
        refusals=(case(normal(*(3,) * (least - 1) or ()), 1), case(CUBE, 5)),
    )


_SPLITS = (_axis_split("hsplit", 1), _axis_split("vsplit", 2), _axis_split("dsplit", 3))
ROWS = (
    *_repeated(),
    _SPLIT,
    alias(_SPLIT, "torch.Tensor.split_with_sizes"),
    *_SPLITS,
    *(alias(row, row.name.replace("torch.", "torch.Tensor.")) for row in _SPLITS),
)
