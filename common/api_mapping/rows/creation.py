"""Making tensors."""

from __future__ import annotations

from common.api_mapping.arrays import DType, Host, boolean, integers, normal, strided
from common.api_mapping.row import Row, case, forward_only
from common.api_mapping.rows.pointwise import float_row, plain

FLOAT64, INT64, INT32, FLOAT32, BOOL, FLOAT16 = (
    DType(name) for name in ("float64", "int64", "int32", "float32", "bool", "float16")
)
SHAPES = (
    forward_only(3),
    forward_only(2, 3),
    forward_only((2, 3)),
    forward_only([2, 0]),
    forward_only((2,), dtype=INT64),
    forward_only(2, 3, dtype=FLOAT64),
    forward_only((2, 3), dtype=BOOL),
    forward_only(()),
)
LIKE = (
    forward_only(normal(3, 4)),
    forward_only(integers(3, 4)),
    forward_only(boolean(3, 4)),
    forward_only(normal()),
    forward_only(normal(0, 3)),
    forward_only(normal(3, 4), dtype=INT32),
    forward_only(strided(normal(3, 4))),
)
WINDOWS = (
    forward_only(8),
    forward_only(9),
    forward_only(8, periodic=False),
    forward_only(8, False),
    forward_only(8, dtype=FLOAT64),
    forward_only(1),
)
NAME = "lambda window_length, periodic=True, dtype=None: mnp.{}(window_length)"


def made(name: str, primitive: str) -> dict[str, str]:
    """The 2022 target that needs shape and dtype."""
    return {
        "legacy": f"ops.{primitive}",
        "legacy_call": f"lambda *size, dtype=ms.float32: ops.{primitive}()(tuple(size) if isinstance(size[0], int) else tuple(size[0]), dtype)",
    }


ROWS = (
    float_row("zeros", SHAPES, "exact", "sizes as arguments, tuple or list; float32", **made("zeros", "Zeros")),
    float_row("ones", SHAPES, "exact", "sizes as arguments, tuple or list; float32", **made("ones", "Ones")),
    plain(
        "zeros_like",
        LIKE,
        "exact",
        legacy="ops.ZerosLike",
        legacy_call="lambda input, dtype=None: ops.ZerosLike()(input)",
    ),
    plain(
        "ones_like", LIKE, "exact", legacy="ops.OnesLike", legacy_call="lambda input, dtype=None: ops.OnesLike()(input)"
    ),
    float_row(
        "full",
        (
            forward_only((2, 3), 3.5),
            forward_only((2, 3), 7),
            forward_only([2], True),
            forward_only((2, 3), 1, dtype=FLOAT32),
            forward_only((), 2.5),
            forward_only((0, 2), 1.0),
            forward_only((2,), float("-inf")),
            forward_only((2,), 0.1, dtype=FLOAT64),
            forward_only((2,), float("nan")),
        ),
        "exact",
        "the dtype of the number: float32, int64 or bool",
        legacy="numpy.full",
    ),
    plain(
        "full_like",
        (
            forward_only(normal(3, 4), 2.5),
            forward_only(integers(3, 4), 7),
            forward_only(normal(3, 4), 1, dtype=INT64),
            forward_only(normal(0, 3), 1.0),
            forward_only(normal(2, dtype="float64"), 0.1),
            forward_only(normal(2), 0.1, dtype=FLOAT64),
        ),
        "exact",
        legacy="numpy.full_like",
    ),
    float_row(
        "arange",
        (
            forward_only(5),
            forward_only(2, 7),
            forward_only(1, 8, 3),
            forward_only(5, dtype=FLOAT32),
            forward_only(0.5, 3.0, 0.5),
            forward_only(start=1, end=4),
            forward_only(6, 0, -2),
            forward_only(0),
            forward_only(5.0),
            forward_only(3, dtype=INT32),
            forward_only(0, 1, 0.1, dtype=FLOAT64),
            forward_only(0, 1, 0.1),
            forward_only(1.0, 0.0, -0.25),
        ),
        "exact",
        "float64 keeps its digits",
        refusals=(forward_only(0, 3, -1), forward_only(0, 3, 0)),
        legacy="numpy.arange",
    ),
    float_row(
        "linspace",
        (
            forward_only(0, 1, 5),
            forward_only(-2.0, 3.0, steps=4),
            forward_only(1, 1, 1),
            forward_only(0, 1, 5, dtype=FLOAT64),
            forward_only(3, 0, 7),
            forward_only(0.1, 0.7, 4, dtype=FLOAT64),
        ),
        "rounding",
        "both ends",
        refusals=(forward_only(integers(2), integers(2), 1), forward_only(0, 1, -1)),
    ),
    float_row(
        "logspace",
        (
            forward_only(0, 1, 5),
            forward_only(-1.0, 1.0, steps=4, base=2.0),
            forward_only(0.1, 0.7, 4, dtype=FLOAT64),
        ),
        "exponential",
        "base",
        refusals=(forward_only(integers(2), integers(2), 1), forward_only(0, 1, -1)),
    ),
    plain("eye", (forward_only(3), forward_only(2, 4), forward_only(4, 2, dtype=INT64), forward_only(0)), "exact"),
    float_row(
        "tensor",
        (
            forward_only([1, 2, 3]),
            forward_only([1.5, 2.0]),
            forward_only([True, False]),
            forward_only(3),
            forward_only(2.5),
            forward_only([[1, 2], [3, 4]], dtype=FLOAT32),
            forward_only([1, 2.5]),
            forward_only([]),
            forward_only([0.1, 0.3], dtype=FLOAT64),
        ),
        "exact",
        "float32 for Python floats, int64 for ints",
        legacy="Tensor",
    ),
    Row(
        "torch.from_numpy",
        ("Tensor.from_numpy",),
        tuple(
            forward_only(Host(data, dtype))
            for data, dtype in (
                ((1.5, -2.0), "float32"),
                ((1, 2, 3), "int64"),
                ((True, False), "bool"),
                ((0.1,), "float64"),
                ((), "float32"),
            )
        ),
        "exact",
        note="Shares the array's memory in both. Not for graphs.",
        legacy="tensor.from_numpy",
    ),
    float_row(
        "as_tensor",
        (
            forward_only([1, 2, 3]),
            forward_only([1.5, 2.0]),
            forward_only(normal(3, 4)),
            forward_only(integers(3), dtype=FLOAT32),
        ),
        "exact",
        "as tensor",
    ),
    float_row(
        "Tensor",
        (forward_only([1, 2, 3]), forward_only([1.5, 2.0]), forward_only([[1, 2], [3, 4]])),
        "exact",
        "always float32",
        legacy="Tensor",
        note="torch.Tensor(2, 3) gives memory as it is and has no counterpart; use zeros.",
    ),
    float_row(
        "scalar_tensor",
        (forward_only(2), forward_only(2.5), forward_only(2, dtype=INT64), forward_only(0.1, dtype=FLOAT64)),
        "exact",
        "float32 by default",
    ),
    float_row(
        "bartlett_window",
        WINDOWS,
        "reduction",
        "periodic by default",
        legacy="numpy.bartlett",
        legacy_call=NAME.format("bartlett"),
    ),
    float_row("blackman_window", WINDOWS, "reduction", "periodic by default"),
    float_row(
        "hamming_window",
        (*WINDOWS, forward_only(8, True, 0.5, 0.5)),
        "reduction",
        "periodic by default",
        legacy="numpy.hamming",
        legacy_call=NAME.format("hamming"),
    ),
    float_row(
        "hann_window",
        WINDOWS,
        "reduction",
        "periodic by default",
        legacy="numpy.hanning",
        legacy_call=NAME.format("hanning"),
    ),
    plain("tril_indices", (forward_only(3, 4), forward_only(4, 3, offset=1), forward_only(3, 3, -1)), "exact"),
    plain("triu_indices", (forward_only(3, 4), forward_only(4, 3, offset=1), forward_only(3, 3, -1)), "exact"),
    float_row(
        "clone",
        (
            case(normal(3, 4)),
            case(strided(normal(3, 4))),
            case(normal()),
            forward_only(integers(3, 4)),
            forward_only(normal(0, 3)),
        ),
        "exact",
        "a copy",
    ),
    plain(
        "numel",
        (forward_only(normal(3, 4)), forward_only(normal()), forward_only(integers(0, 3))),
        "exact",
        legacy="ops.Size",
        legacy_call="lambda input: ops.Size()(input)",
    ),
    plain("is_tensor", (forward_only(normal(3)), forward_only(3.0))),
    plain("is_floating_point", (forward_only(normal(3)), forward_only(integers(3)), forward_only(boolean(3)))),
    float_row(
        "cartesian_prod",
        (forward_only(integers(3), integers(2)), forward_only(integers(3)), case(normal(3), normal(2))),
        "exact",
        "every combination, one in a row",
    ),
)
