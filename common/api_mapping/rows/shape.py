"""Shapes: joining, splitting, moving and repeating."""

from __future__ import annotations

from common.api_mapping.arrays import boolean, integers, normal, strided, values
from common.api_mapping.row import Case, alias, case, forward_only
from common.api_mapping.rows.pointwise import ANY_SIZE, NO_SUM, float_row, plain

CUBE = normal(2, 3, 4)


def moves(*calls: Case, whole: bool = True) -> tuple[Case, ...]:
    """The given calls, and the first of them with other dtypes and a strided input."""
    first = calls[0]
    head = first.arguments[0]
    others = [strided(head)] if len(head.shape) > 1 else []
    others += [integers(*head.shape), boolean(*head.shape)] if whole else []
    return (*calls, *(Case((other, *first.arguments[1:]), first.keywords, other.differentiable) for other in others))


_TRANSPOSE = plain(
    "transpose",
    moves(case(CUBE, 0, 1), case(CUBE, -1, 0), case(normal(3, 4), dim0=0, dim1=1), forward_only(normal(0, 3), 0, 1)),
    "exact",
    legacy="ops.Transpose",
    legacy_call="lambda input, dim0, dim1: ops.Transpose()(input, (dim0, dim1))",
)
_CAT = float_row(
    "cat",
    (
        case([normal(2, 3), normal(4, 3)]),
        case((normal(2, 3), normal(2, 1)), 1),
        case([normal(2, 3), normal(2, 2), strided(normal(2, 2))], dim=-1),
        forward_only([integers(2, 3), integers(1, 3)], 0),
        forward_only([normal(2, 3), integers(2, 3)]),
        case([normal(2, 3)]),
        forward_only([normal(0, 3), normal(2, 3)]),
        forward_only([integers(2, 3), integers(1, 3, dtype="int32"), boolean(1, 3)]),
        case([normal(0, 3), normal(0, 2)], dim=1),
    ),
    "exact",
    "promotion",
)
_STACK = (
    case([normal(3, 4), normal(3, 4)]),
    case((normal(3), normal(3), normal(3)), dim=-1),
    case([normal(3, 4), strided(normal(3, 4))], 1),
    forward_only([integers(3), integers(3)]),
    case([normal(), normal()]),
    case([normal(0, 3), normal(0, 3)], dim=1),
    forward_only([normal(3), normal(3, dtype="float64")]),
    forward_only([integers(3), normal(3)]),
)
ROWS_OF = (case([normal(3), normal(2)]), forward_only([integers(3), integers(2)]))
PARTS = (
    case(normal(6, 4), 2),
    case(normal(5, 4), 2),
    case(normal(3, 6), 3, dim=1),
    case(CUBE, 2, -1),
    forward_only(integers(6), 4),
)

ROWS = (
    float_row(
        "reshape",
        moves(
            case(CUBE, (6, 4)),
            case(CUBE, (-1,)),
            case(CUBE, (2, -1)),
            case(normal(), (1, 1)),
            forward_only(normal(0, 3), (3, 0)),
            case(normal(1), ()),
        ),
        "exact",
        ANY_SIZE,
        targets=("shim.reshape",),
        refusals=(case(normal(0, 5), (0, -1)),),
    ),
    plain(
        "flatten",
        moves(case(CUBE), case(CUBE, 1), case(CUBE, start_dim=0, end_dim=1), case(normal()), case(CUBE, -2)),
        "exact",
    ),
    plain("ravel", moves(case(CUBE), case(normal())), "exact"),
    float_row(
        "unflatten",
        moves(case(normal(3, 8), 1, (2, 4)), case(normal(3, 8), -1, (-1, 2)), forward_only(normal(0, 8), -1, (-1, 2))),
        "exact",
        "splits one axis",
    ),
    float_row(
        "squeeze",
        moves(
            case(normal(1, 3, 1)),
            case(normal(1, 3, 1), 0),
            case(normal(1, 3, 1), dim=-1),
            case(normal(3, 4), 0),
            case(normal(1, 3, 1), (0, 2)),
            case(normal()),
        ),
        "exact",
        "leaves an axis that is not 1",
    ),
    plain(
        "unsqueeze",
        moves(case(normal(3, 4), 0), case(normal(3, 4), dim=-1), case(normal(3, 4), 1), case(normal(), 0)),
        "exact",
        legacy="ops.ExpandDims",
        legacy_call="lambda input, dim: ops.ExpandDims()(input, dim)",
    ),
    _TRANSPOSE,
    alias(
        _TRANSPOSE,
        "torch.swapaxes",
        cases=moves(case(CUBE, 0, 1), case(CUBE, axis0=-1, axis1=0)),
        targets=("mint.swapaxes", "ops.swapaxes"),
    ),
    alias(
        _TRANSPOSE,
        "torch.swapdims",
        cases=moves(case(CUBE, 0, 1), case(CUBE, dim0=-1, dim1=0)),
        targets=("mint.swapdims", "ops.swapdims"),
    ),
    float_row(
        "t",
        moves(case(normal(3, 4)), case(normal(3)), case(normal()), whole=False),
        "exact",
        "MindSpore's own does not compile in graph mode",
        targets=("shim.t", "mint.t", "ops.t"),
    ),
    plain("permute", moves(case(CUBE, (2, 0, 1)), case(CUBE, dims=(-1, 0, 1)), case(normal(3, 4), (1, 0))), "exact"),
    float_row(
        "movedim",
        moves(case(CUBE, 0, 2), case(CUBE, (0, 1), (1, 0)), case(CUBE, source=-1, destination=0)),
        "exact",
        "an axis that is named twice is refused",
        refusals=(case(CUBE, (0, 0), (0, 1)), case(CUBE, (1, 0, 2), (0, 2, -1))),
    ),
    _CAT,
    alias(_CAT, "torch.concat"),
    alias(_CAT, "torch.concatenate"),
    float_row("stack", _STACK, "exact", "the axis by its name"),
    plain("hstack", (*ROWS_OF, case([normal(2, 3), normal(2, 2)])), "exact"),
    plain(
        "vstack",
        (case([normal(3), normal(3)]), case([normal(2, 3), normal(1, 3)]), forward_only([integers(3), integers(3)])),
        "exact",
    ),
    plain("dstack", (case([normal(3), normal(3)]), case([normal(2, 3), normal(2, 3)])), "exact"),
    plain("column_stack", (case([normal(3), normal(3)]), case([normal(3, 2), normal(3)])), "exact"),
    float_row(
        "split",
        (*PARTS, case(normal(6, 4), [1, 5]), case(normal(3, 6), (2, 3, 1), dim=-1), case(normal(2, 4, 6), 2, dim=2)),
        "exact",
        "the gradient of MindSpore's is wrong where the gradient of a part is a transposed view",
    ),
    plain("chunk", PARTS, "exact"),
    float_row(
        "tensor_split",
        (
            case(normal(7, 2), 3),
            case(normal(7, 2), (2, 5)),
            case(normal(2, 7), 3, dim=1),
            forward_only(normal(0, 2), 3),
            forward_only(normal(2, 2), 3),
            forward_only(normal(7), (5, 2, -1)),
        ),
        "exact",
        "parts as equal as can be",
    ),
    plain("unbind", moves(case(normal(3, 4)), case(CUBE, 1), case(CUBE, dim=-1)), "exact"),
    plain(
        "tile",
        moves(
            case(normal(3, 4), (2,)),
            case(normal(3, 4), (2, 1, 2)),
            case(normal(3), (2, 2)),
            case(normal(3, 4), dims=(1, 3)),
        ),
        "exact",
    ),
    float_row(
        "repeat_interleave",
        (
            case(normal(3, 4), 2),
            case(normal(3, 4), 3, dim=1),
            case(normal(3, 2), integers(3, low=0, high=4), dim=0),
            forward_only(integers(4), 2),
            forward_only(normal(2, 2), values(1, 2, dtype="int64"), dim=0, output_size=3),
        ),
        "exact",
        "flattens without dim; a tensor of repeats",
    ),
    float_row(
        "broadcast_to",
        (
            case(normal(1, 4, dtype="float64"), (0, 4)),
            case(normal(0, 1), (0, 4)),
            case(normal(), (0, 4)),
            case(normal(3, 1), (3, 4)),
            case(normal(4), (2, 3, 4)),
            case(normal(), (2, 2)),
            forward_only(integers(1, 3), (2, 3)),
            case(normal(3, 1), (-1, 4)),
        ),
        "exact",
        NO_SUM,
        targets=("shim.broadcast_to",),
    ),
    float_row(
        "broadcast_tensors",
        (case(normal(3, 1), normal(1, 4)), case(normal(4), normal(3, 4))),
        "exact",
        "as many tensors as given",
    ),
    float_row(
        "roll",
        moves(
            case(normal(3, 4), 1),
            case(normal(3, 4), 1, 0),
            case(CUBE, shifts=(1, -2), dims=(0, 2)),
            case(normal(5), -7, 0),
            forward_only(normal(2, 0), 1, 1),
        ),
        "exact",
        "flattens without dims",
    ),
    float_row(
        "flip",
        moves(case(normal(3, 4), (0,)), case(CUBE, (0, -1)), case(CUBE, dims=[1]), forward_only(normal(0, 3), (0, 1))),
        "exact",
        "an empty tensor is returned as it is",
        targets=("shim.flip",),
        note="MindSpore's own may end the process (SIGFPE) over an empty tensor.",
        legacy="ops.ReverseV2",
        legacy_call="lambda input, dims: ops.ReverseV2(axis=list(dims))(input) if input.size else "
        "refuse('the kernel ends the process over nothing, at times')",
    ),
    *(
        float_row(
            name,
            moves(case(normal(3, 4)), case(CUBE), forward_only(normal(3, 0, 2))),
            "exact",
            "an empty tensor is returned as it is",
            targets=(f"shim.{name}",),
            refusals=(case(normal()),),
            note="MindSpore's own may end the process (SIGFPE) over an empty tensor.",
        )
        for name in ("fliplr", "flipud")
    ),
    float_row(
        "rot90",
        moves(
            case(normal(3, 4)), case(normal(3, 4), 2), case(CUBE, k=-1, dims=(1, 2)), forward_only(normal(0, 3), k=3)
        ),
        "exact",
        "one turn by default, and nothing",
        targets=("shim.rot90",),
        refusals=(case(normal(3, 4), 1, (0, 0)),),
    ),
    plain("tril", moves(case(normal(3, 4)), case(normal(4, 3), 1), case(normal(2, 3, 3), diagonal=-1)), "exact"),
    plain("triu", moves(case(normal(3, 4)), case(normal(4, 3), 1), case(normal(2, 3, 3), diagonal=-1)), "exact"),
    float_row(
        "diag",
        moves(case(normal(3)), case(normal(3, 4)), case(normal(3), 1), case(normal(4, 3), diagonal=-1), whole=False),
        "exact",
        "makes a matrix of a vector, a vector of a matrix",
    ),
    plain("diagonal", moves(case(normal(3, 4)), case(normal(3, 4), 1), case(CUBE, offset=-1, dim1=1, dim2=2)), "exact"),
    plain("diag_embed", (case(normal(3)), case(normal(2, 3)), case(normal(2, 3), offset=1)), "exact"),
    plain("narrow", moves(case(normal(5, 4), 0, 1, 3), case(normal(3, 6), dim=-1, start=2, length=2)), "exact"),
    float_row(
        "select",
        moves(case(normal(5, 4), 0, 2), case(CUBE, -1, -1), case(CUBE, dim=1, index=0)),
        "exact",
        "negative indices; has a gradient",
    ),
    plain("atleast_1d", (case(normal()), case(normal(3, 4))), "exact"),
    plain("atleast_2d", (case(normal()), case(normal(3)), case(normal(3, 4))), "exact"),
    plain("atleast_3d", (case(normal(3)), case(normal(3, 4)), case(CUBE)), "exact"),
    plain(
        "meshgrid",
        (
            case(normal(3), normal(4), indexing="ij"),
            case(normal(3), normal(4), indexing="xy"),
            forward_only(integers(2), integers(3)),
            forward_only(integers(2), integers(3), integers(2), indexing="ij"),
        ),
        "exact",
        legacy="ops.Meshgrid",
        legacy_call="lambda *tensors, indexing='ij': ops.Meshgrid(indexing)(tensors)",
    ),
    plain("block_diag", (case(normal(2, 3), normal(1, 2)), case(normal(3), normal())), "exact"),
    float_row(
        "combinations",
        (
            forward_only(integers(4)),
            forward_only(integers(4), 3),
            forward_only(integers(3), r=2, with_replacement=True),
            forward_only(normal(1)),
            forward_only(integers(2, dtype="int32"), 4),
            forward_only(normal(4), 2),
        ),
        "exact",
        "in the tensor's dtype and with r columns also where there is none",
        refusals=(case(normal(2, 2)),),
    ),
)
