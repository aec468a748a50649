"""Methods of `torch.Tensor`: those that repeat a function of torch take that function's cases, and MindSpore's own
method is tried first."""

from __future__ import annotations

import dataclasses

from common.api_mapping.arrays import Array, DType, boolean, integers, normal, strided, values
from common.api_mapping.grids import INFINITE
from common.api_mapping.row import Case, Row, case, forward_only
from common.api_mapping.rows import (
    activation,
    arithmetic,
    creation,
    indexing,
    linalg,
    pointwise,
    products,
    random,
    reduction,
    shape,
    statistics,
)
from common.api_mapping.rows.pointwise import ANY_SIZE, NO_SUM

#: Methods that do what the function of the same name does, the tensor being its first argument.
REPEATED = """
    abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr all allclose amax amin aminmax any arccos arcsin arctan argmax argmin argsort
    argwhere asin asinh atan atan2 atanh baddbmm bernoulli bincount bitwise_and bitwise_not bitwise_or bitwise_xor bmm broadcast_to ceil chunk clamp
    clamp_max clamp_min clip clone copysign cos cosh count_nonzero cross cummax cummin cumprod cumsum deg2rad det diag diag_embed diagonal diff
    digamma dist div divide dot eq equal erf erfc erfinv exp exp2 expm1 flatten flip fliplr flipud float_power floor floor_divide fmax fmin fmod frac
    gather ge ger greater greater_equal gt heaviside histc hypot index_add index_copy index_fill index_select inner inverse isclose isfinite isinf
    isnan isneginf isposinf kron kthvalue le lerp less less_equal lgamma log log10 log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp
    logical_and logical_not logical_or logical_xor logit logsumexp lt masked_fill masked_select matmul max maximum mean median min minimum mm movedim
    msort mul multinomial multiply mv nan_to_num nanmean nansum narrow ne neg negative nonzero norm not_equal numel outer positive pow prod quantile
    rad2deg ravel reciprocal relu remainder repeat_interleave roll rot90 round rsqrt scatter scatter_add select sigmoid sign signbit sin sinc sinh
    softmax sort split sqrt square squeeze std sub subtract sum swapaxes swapdims t take take_along_dim tan tanh tensor_split tile topk trace
    transpose tril triu true_divide trunc unbind unflatten unique unique_consecutive unsqueeze var where xlogy
""".split()  # noqa: SIM905
FLOAT64, FLOAT32, INT64, INT32, BOOL = (DType(name) for name in ("float64", "float32", "int64", "int32", "bool"))
CUBE = normal(2, 3, 4)
KINDS = (
    forward_only(normal(3, 4)),
    forward_only(integers(3, 4)),
    forward_only(boolean(3, 4)),
    forward_only(normal()),
    forward_only(strided(normal(3, 4))),
)
IN_PLACE = {
    "adaptation": "writes into the tensor, which MindSpore's own leaves as it was or cannot do",
    "note": "Raises an error where the write would be lost: in compiled graphs, while a gradient of the tensor is recorded, "
    "and for a view of a part of a tensor or a transposed one. Use the result instead: x = x.add(y).",
}
NUMBERS = (
    forward_only(normal(3, 4)),
    forward_only(integers(3, 4)),
    forward_only(boolean(3, 4)),
    forward_only(normal(0, 3)),
)
SHAPED = (
    forward_only(normal(3, 4), 2),
    forward_only(normal(3, 4), (2, 3)),
    forward_only(integers(3), 2, 3),
    forward_only(normal(3), (2,), dtype=INT64),
)


#: MindSpore's methods that are no candidates: flatten copies where torch gives a view, chunk and split have no kernel for
#: the compiled gradient, expand_as has a gradient of what happens to be in memory for an empty result, reshape and view
#: accept what torch refuses, copy_ frees memory that is not its own where a vector is copied into one row, and the others
#: cannot be compiled with torch's arguments.
NOT_OWN = (
    "chunk",
    "copy_",
    "expand",
    "expand_as",
    "flatten",
    "repeat_interleave",
    "reshape",
    "split",
    "transpose",
    "view",
)


def method(name: str, cases: tuple[Case, ...], tolerance: str = "exact", adaptation: str = "", **rest) -> Row:
    """A row of a method without a function of its own."""
    own = () if name in NOT_OWN else (f"Tensor.{name}",)
    shim = (f"shim.tensor.{name}",) if adaptation else ()
    return Row(f"torch.Tensor.{name}", (*own, *shim), cases, tolerance, adaptation, **rest)


def _repeated() -> tuple[Row, ...]:
    sources = (
        activation,
        arithmetic,
        creation,
        indexing,
        linalg,
        pointwise,
        products,
        random,
        reduction,
        shape,
        statistics,
    )
    rows = {row.name: row for source in sources for row in source.ROWS}
    made = []
    for name in REPEATED:
        row = rows[f"torch.{name}"]
        if name == "where":  # x.where(condition, other)
            continue
        cases = tuple(tried for tried in row.cases if tried.arguments and isinstance(tried.arguments[0], Array))
        # where nothing of MindSpore's is to be tried, its method is not either
        own = () if row.targets == (row.shim,) or name in NOT_OWN else (f"Tensor.{name}",)
        targets = (*row.targets[:1], *own, *row.targets[1:]) if row.targets[0] == row.shim else (*own, *row.targets)
        made.append(
            dataclasses.replace(
                row, name=f"torch.Tensor.{name}", targets=targets, cases=cases, legacy="", legacy_call=""
            )
        )
    return tuple(made)


def _moved(name: str, calls: tuple[Case, ...], adaptation: str = "", **rest) -> Row:
    first = calls[0]
    others = tuple(
        forward_only(array, *first.arguments[1:], **first.keywords)
        for array in (integers(*first.arguments[0].shape), boolean(*first.arguments[0].shape))
    )
    return method(name, (*calls, *others), "exact", adaptation, **rest)


ROWS = (
    *_repeated(),
    _moved(
        "view",
        (case(CUBE, 6, 4), case(CUBE, (2, -1)), case(CUBE, -1), case(normal(), 1, 1)),
        ANY_SIZE,
        refusals=(case(normal(0, 5), (0, -1)), case(normal(0, 5), 0, -1)),
    ),
    _moved(
        "reshape",
        (case(CUBE, 6, 4), case(CUBE, (2, -1)), case(CUBE, -1), case(strided(CUBE), 3, 8)),
        ANY_SIZE,
        refusals=(case(normal(0, 5), (0, -1)),),
    ),
    _moved("permute", (case(CUBE, 2, 0, 1), case(CUBE, (-1, 0, 1)))),
    _moved(
        "expand",
        (case(normal(3, 1), 3, 4), case(normal(3, 1), (2, -1, 4)), case(normal(4), 3, -1)),
        "sizes as arguments",
    ),
    _moved(
        "repeat",
        (case(normal(3, 4), 2, 1), case(normal(3), 2, 2), case(normal(3, 4), (1, 2))),
        "has no kernel of its own",
    ),
    _moved("contiguous", (case(normal(3, 4)), case(strided(normal(3, 4))))),
    method("view_as", (case(CUBE, normal(6, 4, fixed=True)), forward_only(integers(6), integers(2, 3)))),
    method(
        "reshape_as",
        (case(CUBE, normal(6, 4, fixed=True)), forward_only(integers(6), integers(2, 3))),
        "exact",
        "reshape to the other's shape",
    ),
    method(
        "expand_as",
        (
            case(normal(3, 1), normal(3, 4, fixed=True)),
            forward_only(integers(1, 3), integers(2, 3)),
            case(normal(1, 4, dtype="float64"), normal(0, 4, dtype="float64", fixed=True)),
        ),
        "exact",
        NO_SUM,
    ),
    method(
        "size",
        (
            forward_only(normal(3, 4)),
            forward_only(normal(3, 4), 0),
            forward_only(normal(3, 4), dim=-1),
            forward_only(normal()),
        ),
        "exact",
        "a method in torch, a number of elements in MindSpore; use x.shape",
    ),
    method("dim", KINDS),
    method("ndimension", KINDS),
    method("nelement", KINDS, "exact", "number of elements"),
    method("element_size", KINDS, "exact", "bytes of an element"),
    method(
        "item",
        (forward_only(normal()), forward_only(normal(1)), forward_only(integers(1, 1)), forward_only(boolean())),
        note="Not for graphs.",
    ),
    method(
        "tolist",
        (forward_only(integers(3, 4)), forward_only(integers()), forward_only(boolean(3))),
        note="Not for graphs.",
    ),
    method("is_floating_point", KINDS),
    method("is_contiguous", (forward_only(normal(3, 4)), forward_only(strided(normal(3, 4)))), note="Not for graphs."),
    method("float", (case(normal(3, 4)), *NUMBERS[1:], case(normal(3, dtype="float64")))),
    method("double", (case(normal(3, 4)), *NUMBERS[1:])),
    method("half", (forward_only(normal(3, 4)), forward_only(integers(3, 4)))),
    method("int", NUMBERS),
    method("long", NUMBERS),
    method("bool", (*NUMBERS, forward_only(INFINITE))),
    method(
        "to",
        (
            forward_only(normal(3, 4), FLOAT64),
            forward_only(integers(3, 4), FLOAT32),
            forward_only(normal(3, 4), dtype=INT64),
            case(normal(3, 4), FLOAT32),
        ),
        "exact",
        "dtypes; the device is one for the process",
    ),
    method("type", (forward_only(normal(3, 4), FLOAT64), forward_only(integers(3, 4), FLOAT32)), "exact", "dtypes"),
    method("type_as", (forward_only(normal(3, 4), integers(2)), forward_only(integers(3), normal(2)))),
    method("detach", (forward_only(normal(3, 4)), forward_only(integers(3))), "exact", "stop_gradient"),
    method("new_zeros", SHAPED, "exact", "sizes as arguments; the dtype of the tensor"),
    method("new_ones", SHAPED, "exact", "sizes as arguments; the dtype of the tensor"),
    method(
        "new_full",
        (
            forward_only(normal(3), (2, 3), 2.5),
            forward_only(integers(3), (2,), 7),
            forward_only(normal(3), (2,), 2.5, dtype=FLOAT64),
        ),
        "exact",
        "the dtype of the tensor",
    ),
    method(
        "new_tensor",
        (forward_only(normal(3), [1, 2]), forward_only(integers(3), [1, 2])),
        "exact",
        "the dtype of the tensor",
    ),
    method(
        "unfold",
        (
            case(normal(7), 0, 3, 2),
            case(normal(3, 6), 1, 2, 1),
            case(normal(3, 6), -1, 2, 3),
            case(normal(4, 3, 2), -2, 2, 1),
        ),
        "exact",
        "windows as a last axis",
        note="A copy; torch's is a view.",
    ),
    method("where", (case(normal(3, 4), boolean(3, 4), normal(3, 4)), case(normal(3, 4), boolean(4), 0.0))),
    method("fill_", (forward_only(normal(3, 4), 2.5), forward_only(integers(3), 7)), **IN_PLACE),
    method("zero_", (forward_only(normal(3, 4)), forward_only(integers(3))), **IN_PLACE),
    method(
        "copy_",
        (
            forward_only(normal(3, 4), normal(3, 4)),
            forward_only(normal(3, 4), normal(4)),
            forward_only(normal(3), integers(3)),
            forward_only(normal(1, 4), normal(4)),
        ),
        **IN_PLACE,
    ),
    method(
        "add_",
        (
            forward_only(normal(3, 4), normal(3, 4)),
            forward_only(normal(3, 4), 1.5),
            forward_only(normal(3, 4), normal(4), alpha=2),
        ),
        "rounding",
        **IN_PLACE,
    ),
    method("sub_", (forward_only(normal(3, 4), normal(3, 4)), forward_only(normal(3, 4), 1.5)), "rounding", **IN_PLACE),
    method("mul_", (forward_only(normal(3, 4), normal(3, 4)), forward_only(normal(3, 4), 1.5)), "rounding", **IN_PLACE),
    method(
        "div_",
        (
            forward_only(normal(3, 4), normal(3, 4)),
            forward_only(normal(3, 4), 1.5),
            forward_only(normal(3, 4), 0.5, rounding_mode="floor"),
        ),
        "rounding",
        **IN_PLACE,
    ),
    method("clamp_", (forward_only(normal(3, 4), -0.5, 0.5), forward_only(normal(3, 4), min=0.0)), **IN_PLACE),
    method(
        "masked_fill_",
        (forward_only(normal(3, 4), boolean(3, 4), -1.0), forward_only(normal(3, 4), boolean(4), 0.0)),
        **IN_PLACE,
    ),
    method("relu_", (forward_only(normal(3, 4)),), **IN_PLACE),
    method("exp_", (forward_only(normal(3, 4)),), "exponential", **IN_PLACE),
    method(
        "scatter_",
        (
            forward_only(normal(3, 5), 1, values(0, 2, 1, 4, 3, 0, shape=(3, 2), dtype="int64"), normal(3, 2)),
            forward_only(normal(3, 5), 1, values(0, 2, 1, shape=(3, 1), dtype="int64"), 1.0),
        ),
        **IN_PLACE,
    ),
    method("index_fill_", (forward_only(normal(5, 3), 0, values(2, 0, dtype="int64"), -1.0),), **IN_PLACE),
)
