"""Normalization in `torch.nn.functional`, and what of it stands in `torch` as well."""

from __future__ import annotations

from common.api_mapping.arrays import integers, normal, strided, uniform, values, wide
from common.api_mapping.doubles import doubled
from common.api_mapping.row import Row, case, forward_only

F = "torch.nn.functional"
LAYER = (
    case(normal(3, 8), (8,), normal(8), normal(8)),
    case(normal(2, 3, 8), (8,), weight=normal(8), bias=normal(8), eps=1e-12),
    case(wide(3, 8), (8,), normal(8), normal(8), 1e-5),
    case(strided(normal(8, 8)), (8,), normal(8), normal(8)),
    case(normal(2, 3, 8), [8]),
    case(normal(2, 3, 8), (8,), normal(8)),
    case(normal(2, 3, 4), (3, 4), normal(3, 4), normal(3, 4)),
    case(normal(2, 3, 2, 4), [2, 4]),
    case(uniform(3, 64, low=100.0, high=101.0), (64,), normal(64), normal(64)),
    forward_only(normal(0, 8), (8,), normal(8), normal(8)),
    forward_only(uniform(3, 8, low=200.0, high=400.0, dtype="float16", fixed=True), (8,)),
    forward_only(values(float("nan"), 1.0, 2.0, 3.0, 1.0, 2.0, shape=(2, 3)), (3,)),
)
UNFIT = (case(normal(2, 2, 3), (2, 2)), case(normal(2, 3), ()))
ROOT = (
    case(normal(3, 8), (8,)),
    case(normal(2, 3, 8), [8], normal(8), 1e-5),
    case(wide(3, 8), (8,), weight=normal(8), eps=1e-6),
    case(normal(2, 3, 4), (3, 4), normal(3, 4)),
    case(strided(normal(8, 8)), (8,)),
    forward_only(uniform(3, 8, low=200.0, high=400.0, dtype="float16", fixed=True), (8,)),
    forward_only(values(float("nan"), 1.0, 2.0, 3.0, 1.0, 2.0, shape=(2, 3)), (3,)),
    forward_only(normal(0, 8), (8,)),
)
GROUPS = (
    case(normal(2, 6, 4), 3),
    case(normal(2, 6, 4, 3), 2, normal(6), normal(6)),
    case(normal(3, 6), num_groups=3, weight=normal(6), bias=normal(6), eps=1e-3),
    case(wide(4, 4), 1),
    case(normal(2, 6, 4), 6, normal(6)),
    forward_only(normal(0, 6, 4), 3),
    forward_only(uniform(2, 6, 4, low=200.0, high=400.0, dtype="float16", fixed=True), 3),
)


def statistics(channels: int) -> tuple:
    """A running mean and variance, which torch takes no gradient of."""
    return normal(channels, fixed=True), uniform(channels, low=0.5, high=2.0, fixed=True)


ROWS = doubled(
    (
        *(
            Row(
                f"{section}.layer_norm",
                ("shim.layer_norm", "mint.nn.functional.layer_norm", "ops.layer_norm"),
                LAYER,
                "reduction",
                adaptation="composed of means; weight and bias may be left out; float16 is computed in float32",
                refusals=UNFIT,
            )
            for section in ("torch", F)
        ),
        *(
            Row(
                f"{section}.rms_norm",
                ("shim.rms_norm",),
                ROOT,
                "reduction",
                "ops.rms_norm has no CPU kernel and gives a pair; float16 is computed in float32",
                refusals=UNFIT,
            )
            for section in ("torch", F)
        ),
        *(
            Row(
                f"{section}.group_norm",
                ("shim.group_norm", "mint.nn.functional.group_norm", "ops.group_norm"),
                GROUPS,
                "reduction",
                adaptation="eps is taken in the input's dtype, which float64 shows; float16 is computed in float32",
                refusals=(case(normal(2, 7, 4), 2), case(normal(3), 1)),
            )
            for section in ("torch", F)
        ),
        Row(
            f"{F}.batch_norm",
            ("shim.batch_norm", "mint.nn.functional.batch_norm", "ops.batch_norm"),
            (
                case(normal(5, 3), *statistics(3)),
                case(normal(5, 3, 4), *statistics(3), normal(3), normal(3)),
                case(normal(5, 3, 2, 2), *statistics(3), weight=normal(3), bias=normal(3), eps=1e-3),
                case(normal(5, 3), *statistics(3), normal(3), normal(3), True),
                case(normal(5, 3, 4), *statistics(3), training=True, momentum=0.3),
                case(normal(5, 3, 2, 2), None, None, normal(3), normal(3), training=True),
                forward_only(normal(0, 3), *statistics(3), training=True),
                forward_only(normal(0, 3), *statistics(3), normal(3), normal(3)),
                forward_only(uniform(300000, 2, low=0.0, high=1.0, fixed=True), None, None, training=True),
                forward_only(
                    uniform(5, 3, low=200.0, high=400.0, dtype="float16", fixed=True), None, None, training=True
                ),
            ),
            "reduction",
            "any rank; weight, bias and the running statistics may be left out; these are updated in place while training, not by an empty batch",
            refusals=(case(normal(1, 3), *statistics(3), training=True), case(normal(5, 3), None, None)),
        ),
        Row(
            f"{F}.instance_norm",
            ("shim.instance_norm",),
            (
                case(normal(2, 3, 4)),
                case(normal(2, 3, 4, 5), weight=normal(3), bias=normal(3), eps=1e-3),
                case(normal(2, 3, 4), *statistics(3), normal(3), normal(3), False),
                case(normal(2, 3, 4), *statistics(3), normal(3), normal(3), momentum=0.3),
                forward_only(uniform(2, 3, 4, low=200.0, high=400.0, dtype="float16", fixed=True)),
            ),
            "reduction",
            refusals=(case(normal(2, 3, 1)),),
            adaptation="MindSpore has it as modules only; float16 is computed in float32",
        ),
        Row(
            f"{F}.normalize",
            ("mint.nn.functional.normalize", "shim.normalize"),
            (
                case(normal(3, 4)),
                case(normal(3, 4), dim=-1),
                case(normal(3, 4), 1.0, 0),
                case(normal(2, 3, 4), p=3.0, dim=2),
                case(normal(3, 4), p=float("inf")),
                case(strided(wide(4, 4))),
                case(normal(5), dim=0, eps=10.0),
                forward_only(values(0.0, 0.0, 3.0, 4.0, shape=(2, 2))),
                forward_only(values(float("nan"), 1.0, 2.0, 3.0, 1.0, 2.0, shape=(2, 3))),
                forward_only(uniform(3, 4, low=200.0, high=400.0, dtype="float16", fixed=True)),
                forward_only(normal(2, 0)),
            ),
            "reduction",
            adaptation="MindSpore has no norm of this name on the CPU; a norm of 0 has gradient 0",
        ),
        Row(
            f"{F}.local_response_norm",
            ("shim.local_response_norm",),
            (
                case(normal(2, 5, 4), 3),
                case(normal(2, 5, 4, 3), 2, alpha=0.1, beta=0.5, k=2.0),
                forward_only(integers(1, 6, 3), 2, alpha=0.5, k=1.25),
            ),
            "reduction",
            "MindSpore's LRN takes a radius and no even size",
        ),
    )
)
