"""Choosing, placing, searching and sorting."""

from __future__ import annotations

from common.api_mapping.arrays import boolean, integers, normal, permutation, sorted_values, strided, values
from common.api_mapping.grids import HOLES, TIES, holed
from common.api_mapping.row import case, forward_only
from common.api_mapping.rows.pointwise import float_row, plain

PLACES = integers(3, 2, low=0, high=3)
DISTINCT = values(2.0, 0.0, shape=(2,), dtype="int64")
REPEATED = values(2.0, 0.0, 2.0, shape=(3,), dtype="int64")
OUT = values(0.0, -1.0, shape=(2,), dtype="int64")  #: torch counts from the end in some calls and refuses it in others
OVER = values(0.0, 9.0, shape=(2,), dtype="int64")
OUT2, OVER2 = (values(*data, shape=(2, 1), dtype="int64") for data in ((0, -1), (0, 9)))
SORTED = (
    *holed(),
    forward_only(HOLES, 1, True),
    forward_only(normal(2, 0), 1),
    forward_only(normal(3, 5, dtype="float64"), 1),
    case(permutation(3, 5, dtype="float32")),
    case(normal(3, 5), 0),
    case(normal(3, 5), dim=-1, descending=True),
    forward_only(permutation(3, 5)),
    case(strided(normal(4, 4)), 1),
    forward_only(values(2.0, float("nan"), 1.0, float("inf"))),
    forward_only(permutation(3, 5, dtype="int32"), 1, True),
    forward_only(normal(), 0),
)
UNIQUE = (
    forward_only(integers(9, low=0, high=5)),
    forward_only(TIES),
    forward_only(integers(9, low=0, high=5), return_inverse=True),
    forward_only(integers(3, 4, low=0, high=3), return_counts=True),
    forward_only(integers(8, low=0, high=4), return_inverse=True, return_counts=True),
)
WHERE = (
    case(boolean(3, 4), normal(3, 4), normal(3, 4)),
    case(boolean(3, 1), normal(4), normal(3, 4)),
    case(boolean(3, 4), normal(3, 4), 0.0),
    case(boolean(3, 4), 1.5, normal(3, 4)),
    forward_only(boolean(3, 4), integers(3, 4), normal(3, 4)),
    forward_only(boolean(3, 4), integers(3, 4), 7),
    forward_only(boolean(0, 4), normal(0, 4), normal(4)),
    forward_only(boolean(3, 4), 1.0, 0.0),
    case(boolean(3, 4), normal(3, 4, dtype="float64"), 0.3),
    forward_only(boolean(3, 4), normal(3, 4), normal(dtype="float64")),
    forward_only(boolean(3, 4), integers(), integers(3, 4, dtype="int32")),
)
OTHER_DTYPE = case(normal(3, 5, dtype="float64"), 1, values(0, 1, shape=(2, 1), dtype="int64"), normal(2, 1))

ROWS = (
    float_row(
        "gather",
        (
            case(normal(3, 4), 1, integers(3, 2, low=0, high=4)),
            case(normal(3, 4), dim=0, index=integers(2, 4, low=0, high=3)),
            case(normal(2, 3, 4), -1, integers(2, 3, 5, low=0, high=4)),
            forward_only(integers(3, 4), 1, integers(3, 2, low=0, high=4)),
            case(normal(3, 4), 0, integers(2, 2, low=0, high=3)),
            forward_only(normal(3, 4), 1, integers(3, 0)),
            forward_only(normal(), 0, integers(3, low=0, high=1)),
        ),
        "exact",
        "an index outside the axis is refused; in a graph -1 is the last place, and others are an error of the kernel",
        targets=("shim.gather", "mint.gather", "ops.gather"),
        refusals=(case(normal(3, 4), 1, OUT2), case(normal(3, 4), 1, OVER2)),
        legacy="ops.GatherD",
        legacy_call="lambda input, dim, index: ops.GatherD()(input, dim, index)",
        note="mindspore.ops.gather is torch.index_select; ops.gather_elements is torch.gather.",
    ),
    float_row(
        "index_select",
        (
            case(normal(3, 4), 0, integers(5, low=0, high=3)),
            case(normal(3, 4), dim=-1, index=integers(2, low=0, high=4, dtype="int32")),
            forward_only(integers(3, 4), 1, integers(2, low=0, high=4)),
            case(normal(2, 3, 4), 1, integers(2, low=0, high=3)),
            case(normal(2, 3), 1, integers(0, low=0, high=3)),
        ),
        "exact",
        "any axis; a place outside it is refused, in a graph -1 is the last place",
        targets=("shim.index_select", "mint.index_select", "ops.index_select"),
        refusals=(case(normal(3, 4), 0, OUT), case(normal(3, 4), 0, OVER)),
    ),
    float_row(
        "index_add",
        (
            case(normal(5, 3), 0, DISTINCT, normal(2, 3)),
            case(normal(3, 5), 1, values(1, 1, 3, dtype="int64"), normal(3, 3)),
            case(normal(5, 3), dim=0, index=DISTINCT, source=normal(2, 3), alpha=2),
            case(normal(5, 3), 0, REPEATED, normal(3, 3)),
            forward_only(normal(3, dtype="float64"), 0, REPEATED, normal(3, dtype="float64"), alpha=0.3),
        ),
        "reduction",
        refusals=(
            case(normal(5, 3), 0, OUT, normal(2, 3)),
            case(normal(5, 3, dtype="float64"), 0, DISTINCT, normal(2, 3)),
        ),
        targets=("shim.index_add", "mint.index_add", "ops.index_add"),
        adaptation="alpha, repeated places add up; a place outside the axis is refused, in a graph -1 is the last place",
    ),
    float_row(
        "index_fill",
        (
            case(normal(5, 3), 0, DISTINCT, -1.0),
            case(normal(3, 5), 1, DISTINCT, 0.5),
            forward_only(integers(5, 3), 0, DISTINCT, 9),
            case(normal(5, 3), 0, REPEATED, -1.5),
            case(normal(3, 5), -1, REPEATED, 0.5),
            forward_only(integers(5, 3, dtype="int32"), 0, REPEATED, 9),
            forward_only(HOLES, 0, REPEATED, 0.0),
            forward_only(normal(5, 3), 0, OUT, 2.0),
            forward_only(normal(5, 3), 0, integers(0), 2.0),
            forward_only(normal(5, 3), 0, REPEATED, normal()),
        ),
        "exact",
        "repeated places, also counted from the end, any axis; in a graph a place outside the axis is no place",
        refusals=(case(normal(5, 3), 0, OVER, 1.0),),
    ),
    float_row(
        "index_copy",
        (
            case(normal(5, 3), 0, DISTINCT, normal(2, 3)),
            case(normal(3, 5), 1, DISTINCT, normal(3, 2)),
            forward_only(normal(5, 3), 0, REPEATED, values(*[1.0, 2.0, 3.0] * 3, shape=(3, 3))),
            forward_only(normal(5), 0, REPEATED, normal(3)),
            forward_only(HOLES, 0, DISTINCT, normal(2, 4)),
        ),
        "exact",
        "has a gradient; of several for one place the last counts, as in torch on the CPU; places outside the axis are refused, in a graph they are not",
        refusals=(
            case(normal(5, 3), 0, OUT, normal(2, 3)),
            case(normal(5, 3), 0, OVER, normal(2, 3)),
            case(normal(5, 3, dtype="float64"), 0, DISTINCT, normal(2, 3)),
        ),
    ),
    float_row(
        "scatter",
        (
            case(normal(3, 5), 1, values(0, 2, 1, 4, 3, 0, shape=(3, 2), dtype="int64"), normal(3, 2)),
            case(normal(3, 5), 0, values(0, 2, 1, 1, 0, 2, shape=(2, 3), dtype="int64"), normal(2, 3)),
            forward_only(integers(3, 5), 1, values(0, 2, 1, 4, 3, 0, shape=(3, 2), dtype="int64"), 7),
            case(normal(3, 5), 1, values(0, 2, 1, 4, 3, 0, shape=(3, 2), dtype="int64"), 1.5),
            case(normal(3, 5, dtype="float64"), 1, values(0, 2, 1, 4, 3, 0, shape=(3, 2), dtype="int64"), 0.3),
            forward_only(normal(3, 5), 1, values(0, 0, 1, 1, 3, 3, shape=(3, 2), dtype="int64"), 1.5),
            forward_only(normal(3, 5), 1, values(0, 0, 1, 1, 3, 3, shape=(3, 2), dtype="int64"), normal(3, 2)),
            forward_only(HOLES, 1, values(0, 2, 1, shape=(3, 1), dtype="int64"), normal(4, 3)),
            forward_only(normal(3, 5), 1, integers(3, 0), normal(3, 2)),
        ),
        "exact",
        "a number for src; of several for one place the last counts; an index outside the axis is refused, in a graph -1 is the last place",
        targets=("shim.scatter", "mint.scatter", "ops.scatter"),
        refusals=(
            case(normal(3, 5), 1, OUT2, normal(2, 1)),
            case(normal(3, 5), 1, OVER2, 1.0),
            OTHER_DTYPE,
        ),
    ),
    float_row(
        "scatter_add",
        (
            case(normal(3, 5), 1, integers(3, 4, low=0, high=5), normal(3, 4)),
            case(normal(3, 5), dim=0, index=integers(2, 5, low=0, high=3), src=normal(2, 5)),
            forward_only(integers(3, 5), 1, integers(3, 4, low=0, high=5), integers(3, 4)),
            forward_only(normal(3, 5), 1, integers(2, 3, low=0, high=5), normal(3, 4)),
        ),
        "reduction",
        "repeated places add up; an index outside the axis is refused, in a graph -1 is the last place",
        targets=("shim.scatter_add", "mint.scatter_add", "ops.scatter_add"),
        refusals=(
            case(normal(3, 5), 1, OUT2, normal(2, 1)),
            case(normal(3, 5), 1, OVER2, normal(2, 1)),
            OTHER_DTYPE,
        ),
    ),
    plain(
        "masked_select",
        (case(normal(3, 4), values(1, 0, 1, 1, shape=(4,), dtype="bool")), forward_only(integers(3, 4), boolean(3, 4))),
        "exact",
    ),
    float_row(
        "masked_fill",
        (
            case(normal(3, 4), boolean(3, 4), -1.0),
            case(normal(3, 4), boolean(4), 0.5),
            case(normal(3, 4), mask=boolean(3, 1), value=float("-inf")),
            forward_only(integers(3, 4), boolean(3, 4), 9),
            case(normal(3, 4), boolean(3, 4), normal()),
            case(normal(3, 4), boolean(3, 4), 0),
            case(normal(3, 4, dtype="float64"), boolean(3, 4), 0.3),
        ),
        "exact",
        "a number takes the tensor's dtype, also a whole one among floats",
    ),
    float_row(
        "where",
        WHERE,
        "exact",
        "0-d tensors do not widen; Python numbers keep their digits beside float64 tensors",
        legacy="numpy.where",
    ),
    float_row(
        "take",
        (case(normal(3, 4), integers(2, 3, low=0, high=12)), case(normal(3, 4), integers(5, low=-12, high=12))),
        "exact",
        "counts from the end as well; a place outside is refused, in a graph it is an error of the kernel",
        targets=("shim.take", "mint.take", "ops.take"),
        refusals=(case(normal(3), OVER), case(normal(3), values(-4, dtype="int64"))),
    ),
    float_row(
        "take_along_dim",
        (
            case(normal(3, 4), integers(3, 2, low=0, high=4), dim=1),
            case(normal(3, 4), integers(5, low=0, high=12)),
            case(normal(3, 4), integers(1, 4, low=0, high=3), 0),
        ),
        "exact",
        "broadcasts, flattens without dim",
    ),
    float_row(
        "nonzero",
        (
            forward_only(boolean(3, 4)),
            forward_only(integers(5, low=-1, high=2)),
            forward_only(TIES),
            forward_only(boolean(3, 4), as_tuple=True),
        ),
        "exact",
        "its size depends on the values: not for graphs",
    ),
    plain("argwhere", (forward_only(boolean(3, 4)), forward_only(integers(5, low=-1, high=2))), "exact"),
    float_row(
        "topk",
        (
            case(permutation(3, 6, dtype="float32"), 2),
            case(normal(3, 6), 3, dim=0),
            case(normal(3, 6), k=2, dim=-1, largest=False),
            forward_only(permutation(3, 6), 4),
            case(strided(normal(4, 4)), 2, 1),
            forward_only(permutation(2, 5, 3), 2, 1, True, True),
            case(normal(3, 6), 0),
            forward_only(values(1.0, float("nan"), float("inf"), float("nan"), 2.0), 3),
            forward_only(values(1.0, float("nan"), float("inf"), 0.5), 3, largest=False),
            forward_only(values(*[float("nan")], 3.0, 1.0, float("-inf"), 2.0, float("nan"), shape=(2, 3)), 2, 1),
            forward_only(normal(3, 6, dtype="float64"), 2),
            forward_only(normal(2, 0), 0),
            forward_only(normal(), 1),
            forward_only(normal(2, 100), 7),
        ),
        "exact",
        "any axis, smallest, int64 indices, NaN counts as largest",
        refusals=(case(normal(3), 4), case(normal(3), -1)),
        legacy="ops.TopK",
        legacy_call="lambda input, k, dim=-1, largest=True, sorted=True: ops.TopK(sorted)(input, k)",
    ),
    float_row("sort", SORTED, "exact", "int64 indices, NaN last"),
    float_row(
        "argsort",
        SORTED,
        "exact",
        "int64, NaN last",
        legacy="ops.Sort",
        legacy_call="lambda input, dim=-1, descending=False: ops.Sort(dim, descending)(input)[1]",
    ),
    float_row(
        "msort",
        (
            case(normal(5, 3)),
            forward_only(permutation(5)),
            forward_only(HOLES),
            forward_only(normal(5, 3, dtype="float64")),
            forward_only(normal(0, 3)),
        ),
        "exact",
        "NaN last; float64 is not sorted in float32",
    ),
    float_row(
        "kthvalue",
        (
            case(permutation(3, 5, dtype="float32"), 2),
            case(normal(3, 5), 1, dim=0),
            case(permutation(3, 5, dtype="float32"), k=4, dim=1, keepdim=True),
            forward_only(values(1.0, float("nan"), 3.0, 2.0), 4),
            forward_only(values(1.0, float("nan"), 3.0, 2.0), 2),
            forward_only(normal(3, 5, dtype="float64"), 2),
            forward_only(normal(), 1),
        ),
        "exact",
        "(values, int64 indices), NaN counts as largest",
        refusals=(case(normal(3), 4), case(normal(3), 0)),
    ),
    float_row(
        "unique",
        UNIQUE,
        "exact",
        "sorted; inverse and counts on request; not for graphs",
        legacy="ops.Unique",
        legacy_call="lambda input, sorted=True, return_inverse=False, return_counts=False: ops.Unique()(input)[0]",
    ),
    plain(
        "unique_consecutive",
        (
            forward_only(integers(9, low=0, high=2)),
            forward_only(integers(9, low=0, high=2), return_inverse=True, return_counts=True),
        ),
        "exact",
    ),
    float_row(
        "searchsorted",
        (
            forward_only(sorted_values(6), normal(3, 4)),
            forward_only(sorted_values(3, 6), normal(3, 4)),
            forward_only(values(1, 2, 2, 3), values(2, 0, 4), right=True),
            forward_only(values(1, 2, 2, 3), 2.0),
        ),
        "exact",
        "int64",
    ),
    float_row(
        "bucketize",
        (
            forward_only(normal(3, 4), sorted_values(6)),
            forward_only(values(2, 0, 4), values(1, 2, 2, 3), right=True),
            forward_only(values(2, 0, 4), values(1, 2, 2, 3)),
        ),
        "exact",
        "int64; right as torch means it",
    ),
    float_row(
        "isin",
        (
            forward_only(integers(3, 4, low=0, high=9), integers(5, low=0, high=9)),
            forward_only(TIES, values(2.0)),
            forward_only(integers(4), integers(3), invert=True),
        ),
        "exact",
        "has no call of its own",
    ),
)
