"""What layers are made of: linear maps, lookups, dropout, attention and distances of `torch.nn.functional`."""

from __future__ import annotations

from common.api_mapping.arrays import boolean, integers, normal, strided, values, wide
from common.api_mapping.doubles import doubled
from common.api_mapping.row import Row, case, forward_only

F = "torch.nn.functional"
RATES = (
    forward_only(normal(200, 100)),
    forward_only(normal(200, 100), 0.1),
    forward_only(normal(200, 100), p=0.0),
    forward_only(normal(200, 100), p=1.0),
    forward_only(normal(200, 100), 0.5, False),
)
QUERIES = (normal(2, 3, 5, 8), normal(2, 3, 5, 8), normal(2, 3, 5, 8))
CROSSED = (normal(2, 5, 8), normal(2, 6, 8), normal(2, 6, 4))
HIDDEN = values(
    *(1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0), shape=(3, 3), dtype="bool"
)  # nothing is left of the middle row


def distances(name: str) -> tuple:
    """Calls of a distance of two batches of vectors."""
    return (
        case(normal(3, 4), normal(3, 4)),
        case(normal(2, 3, 4), normal(4), dim=-1)
        if name == "cosine_similarity"
        else case(normal(3, 4), normal(4), keepdim=True),
        case(strided(normal(4, 4)), normal(4, 4)),
        case(wide(4, 5), wide(4, 5)),
    )


ROWS = doubled(
    (
        Row(
            f"{F}.linear",
            ("shim.linear", "mint.nn.functional.linear", "ops.dense"),
            (
                case(normal(3, 4), normal(5, 4), normal(5)),
                case(normal(2, 3, 4), normal(5, 4)),
                case(normal(4), normal(5, 4), bias=normal(5)),
                case(strided(normal(3, 4)), normal(5, 4), normal(5)),
                case(wide(6, 64), wide(5, 64)),
                case(normal(0, 4), normal(5, 4), normal(5)),
                case(normal(0, 4), normal(5, 4)),
                forward_only(normal(3, 0), normal(5, 0), normal(5)),
                forward_only(normal(2, 0, 4), normal(5, 4)),
            ),
            "reduction",
            "one two-dimensional product",
        ),
        *(
            Row(
                name,
                ("shim.bilinear",),
                (
                    case(normal(3, 4), normal(3, 5), normal(2, 4, 5), normal(2)),
                    case(normal(2, 3, 4), normal(2, 3, 5), weight=normal(6, 4, 5)),
                    case(normal(4), normal(5), normal(2, 4, 5)),
                ),
                "reduction",
                "MindSpore has it as a module only (nn.BiDense)",
            )
            for name in ("torch.bilinear", f"{F}.bilinear")
        ),
        Row(
            f"{F}.embedding",
            ("shim.embedding", "mint.nn.functional.embedding", "ops.embedding"),
            (
                case(integers(3, 4, low=0, high=6), normal(6, 5)),
                case(integers(3, 4, low=0, high=6, dtype="int32"), normal(6, 5)),
                case(integers(low=0, high=6), normal(6, 5)),
                case(integers(4, 5, low=0, high=3), normal(3, 5), 0),
                case(integers(4, 5, low=0, high=3), weight=normal(3, 5), padding_idx=-1),
                case(integers(4, 5, low=0, high=3), normal(3, 5), scale_grad_by_freq=True),
                case(integers(4, 5, low=0, high=3), normal(3, 5), max_norm=1.0, gradient=False),
                case(integers(0, 3, low=0, high=3), normal(3, 5)),
            ),
            "exact",
            "gathers; the row padding_idx gets no gradient",
            note="An id outside the table is refused in eager mode; in a graph -1 is the last row, and others are an error of the kernel.",
            refusals=(
                case(values(0, -1, dtype="int64"), normal(3, 5)),
                case(values(0, 3, dtype="int64"), normal(3, 5)),
                case(integers(2, 2, low=0, high=1), normal(1, 1, 1)),
            ),
            limits={
                "scale_grad_by_freq": "the adapter does not count ids",
                "max_norm": "the adapter does not change the table",
            },
        ),
        Row(
            f"{F}.embedding_bag",
            ("shim.embedding_bag",),
            (
                case(integers(3, 4, low=0, high=6), normal(6, 5)),
                case(integers(3, 4, low=0, high=6), normal(6, 5), mode="sum"),
                case(integers(3, 4, low=0, high=6), normal(6, 5), mode="max"),
                case(integers(3, 4, low=0, high=6), normal(6, 5), mode="sum", per_sample_weights=normal(3, 4)),
                case(integers(3, 4, low=0, high=3), normal(6, 5), padding_idx=1),
                case(integers(8, low=0, high=6), normal(6, 5), values(0, 3, 3, 6, dtype="int64")),
                case(integers(8, low=0, high=6), normal(6, 5), offsets=values(0, 3, 4, dtype="int64"), mode="sum"),
                case(integers(8, low=0, high=6), normal(6, 5), offsets=values(0, 3, 4, dtype="int64"), mode="max"),
                case(
                    integers(8, low=0, high=6),
                    normal(6, 5),
                    offsets=values(0, 3, 3, 8, dtype="int64"),
                    mode="sum",
                    include_last_offset=True,
                ),
            ),
            "reduction",
            "MindSpore has none",
            refusals=(
                case(values(0, -1, shape=(1, 2), dtype="int64"), normal(3, 5)),
                case(values(0, 3, shape=(1, 2), dtype="int64"), normal(3, 5)),
                case(integers(3, 4, low=0, high=6), normal(6, 5), mode="abc"),
            ),
        ),
        Row(
            f"{F}.one_hot",
            ("shim.one_hot", "mint.nn.functional.one_hot", "ops.one_hot"),
            (
                forward_only(integers(3, 4, low=0, high=6), 6),
                forward_only(integers(3, 4, low=0, high=6), num_classes=8),
                forward_only(integers(low=0, high=6), 6),
                forward_only(integers(0, 2, low=0, high=6), 6),
                forward_only(values(0, 2, 1, 2, dtype="int64")),
            ),
            "exact",
            "num_classes may be left out; a class that does not exist is refused, in a graph it gives zeros",
            refusals=(
                case(values(0, -1, dtype="int64")),
                case(values(0, -1, dtype="int64"), 3),
                case(values(0, 3, dtype="int64"), 3),
            ),
        ),
        Row(
            f"{F}.dropout",
            ("shim.dropout", "mint.nn.functional.dropout", "ops.dropout"),
            RATES,
            adaptation="p=1 gives zeros",
            stochastic=True,
            refusals=(case(normal(3), 1.5), case(normal(3), -0.1)),
        ),
        Row(
            "torch.dropout",
            ("shim.dropout",),
            (forward_only(normal(200, 100), 0.1, True), forward_only(normal(200, 100), 0.5, False)),
            note="F.dropout: its third argument is called training",
            stochastic=True,
            adaptation="p=1 gives zeros",
        ),
        Row(
            f"{F}.dropout1d",
            ("ops.dropout1d",),
            (
                forward_only(normal(100, 100, 2)),
                forward_only(normal(100, 100, 2), p=0.1),
                forward_only(normal(10000, 3), 0.5),
                forward_only(normal(100, 100, 2), p=1.0),
                forward_only(normal(100, 100, 2), training=False),
            ),
            stochastic=True,
        ),
        Row(
            f"{F}.dropout2d",
            ("mint.nn.functional.dropout2d", "ops.dropout2d"),
            (
                forward_only(normal(100, 100, 2, 2)),
                forward_only(normal(100, 100, 2, 2), p=0.1),
                forward_only(normal(100, 100, 2, 1), p=1.0),
                forward_only(normal(100, 100, 2, 1), training=False),
            ),
            stochastic=True,
        ),
        Row(
            f"{F}.dropout3d",
            ("ops.dropout3d",),
            (
                forward_only(normal(100, 100, 2, 2, 1)),
                forward_only(normal(100, 100, 2, 1, 1), p=0.1),
                forward_only(normal(100, 100, 2, 1, 2), training=False),
            ),
            stochastic=True,
        ),
        Row(
            f"{F}.alpha_dropout",
            ("shim.alpha_dropout",),
            (
                forward_only(normal(200, 100)),
                forward_only(normal(200, 100), 0.5, True),
                forward_only(normal(200, 100), p=0.1, training=True),
                forward_only(normal(200, 100), p=1.0, training=True),
            ),
            adaptation="MindSpore has none; keeps mean and deviation of SELU's values (Klambauer et al. 2017)",
            stochastic=True,
        ),
        Row(
            f"{F}.scaled_dot_product_attention",
            ("shim.scaled_dot_product_attention",),
            (
                case(*QUERIES),
                case(*CROSSED),
                case(*CROSSED, attn_mask=boolean(5, 6)),
                case(*CROSSED, boolean(2, 1, 6)),
                case(*QUERIES, attn_mask=normal(2, 1, 5, 5, fixed=True)),
                case(*QUERIES, is_causal=True),
                case(*CROSSED, is_causal=True, scale=0.5),
                case(*QUERIES, None, 0.0, True),
                case(normal(3, 4), normal(3, 4), normal(3, 4), HIDDEN),
                case(wide(3, 4), wide(3, 4), wide(3, 4), values(0.0, float("-inf"), -2.0)),
                case(normal(2, 4, 5, 8), normal(2, 2, 5, 8), normal(2, 2, 5, 8), enable_gqa=True),
            ),
            "reduction",
            "composed of products and a softmax in which a row without keys gives 0",
        ),
        *(
            Row(
                f"{section}.cosine_similarity",
                ("shim.cosine_similarity", "mint.nn.functional.cosine_similarity", "ops.cosine_similarity"),
                (
                    *distances("cosine_similarity"),
                    case(normal(3, 4), values(0.0, shape=(1, 1)), dim=0, eps=1e-3, gradient=False),
                    case(wide(4, 3), values(*[0.1] * 12, shape=(4, 3)), dim=0, eps=0.5),
                    case(normal(1, 2, 3), normal(2, 1, 3), dim=0),
                    forward_only(normal(1, 2, 3), normal(2, 1, 3), dim=1),
                    case(normal(1, 2, 3), normal(2, 1, 3), dim=2),
                    forward_only(
                        normal(5, 10, dtype="float16", fixed=True), normal(5, 10, dtype="float16", fixed=True)
                    ),
                    forward_only(values(float("nan"), 1.0, 2.0), normal(3), dim=0),
                    case(normal(5), normal(5), 0),
                ),
                "reduction",
                adaptation="any dtype, broadcast first; float16 is computed in float32",
            )
            for section in ("torch", F)
        ),
        *(
            Row(
                f"{section}.pairwise_distance",
                ("shim.pairwise_distance",),
                (
                    *distances("pairwise_distance"),
                    case(normal(3, 4), normal(3, 4), 1),
                    case(normal(3, 4), normal(3, 4), p=3.0, eps=1e-3),
                    case(normal(3, 4), normal(3, 4), float("inf")),
                ),
                "reduction",
                "MindSpore has none",
            )
            for section in ("torch", F)
        ),
    )
)
