"""Pooling and convolution of volumes, as functions and as modules."""

from __future__ import annotations

from common.api_mapping.arrays import integers, normal
from common.api_mapping.row import Row, case, forward_only
from common.api_mapping.rows.modules import made, module_row
from common.api_mapping.rows.pooling import AVERAGE, LARGEST, windows

F = "torch.nn.functional"
VOLUME = (2, 3, 5, 6, 4)
GATHERED = "windows are gathered: any size and rank"
KERNEL = normal(4, 3, 2, 3, 2)
LAYERS = "the sum of the layers' convolutions, where the device has no kernel"


def _pool(name: str, cases, tolerance: str, text: str, refusals=()) -> Row:
    return Row(f"{F}.{name}", (f"shim.{name}",), cases, tolerance, text, refusals=refusals)


def _shared(*more) -> tuple:
    return (
        case(normal(*VOLUME), 1),
        case(normal(*VOLUME), (4, 3, 2)),
        case(normal(*VOLUME[1:]), output_size=(None, 2, None)),
        *more,
    )


FLAT = (case(normal(2, 2), 2),)
ROWS = (
    _pool(
        "max_pool3d",
        (*windows(VOLUME, 2, *LARGEST), case(normal(*VOLUME), (2, 3, 1), (1, 2, 1), (0, 1, 0))),
        "exact",
        f"{GATHERED}, dilation, indices in int64",
        FLAT,
    ),
    _pool(
        "avg_pool3d",
        (*windows(VOLUME, 2, *AVERAGE, {"divisor_override": 5}), forward_only(integers(*VOLUME), 2)),
        "reduction",
        f"{GATHERED}, ceil_mode, count_include_pad and divisor_override as in torch",
        FLAT,
    ),
    _pool("adaptive_avg_pool3d", _shared(), "reduction", GATHERED, FLAT),
    _pool(
        "adaptive_max_pool3d",
        _shared(case(normal(*VOLUME), 2, return_indices=True)),
        "exact",
        f"{GATHERED}, indices in int64",
        FLAT,
    ),
    *(
        Row(
            f"{section}.conv3d",
            ("shim.conv3d",),
            (
                case(normal(*VOLUME), KERNEL),
                case(normal(*VOLUME), KERNEL, normal(4), 2, 1),
                case(normal(*VOLUME[1:]), KERNEL, normal(4), padding="same"),
                case(normal(*VOLUME), KERNEL, stride=(1, 2, 1), padding=(1, 0, 2), dilation=(2, 1, 1)),
                case(normal(2, 4, 4, 4, 3), normal(6, 2, 3, 2, 2), groups=2, padding="valid"),
            ),
            "reduction",
            LAYERS,
            refusals=(case(normal(2, 3, 4), KERNEL), case(normal(2, 3, 1, 6, 4), KERNEL)),
        )
        for section in ("torch", F)
    ),
    module_row(
        "MaxPool3d",
        (
            made({"kernel_size": 2}, normal(*VOLUME)),
            made({"kernel_size": (2, 3, 1), "stride": 1, "padding": (1, 1, 0)}, normal(*VOLUME[1:])),
            made({"kernel_size": 2, "ceil_mode": True, "return_indices": True}, normal(*VOLUME)),
        ),
        "exact",
        "stride defaults to the kernel's size; dilation, padding and indices",
    ),
    module_row(
        "AvgPool3d",
        (
            made({"kernel_size": 2}, normal(*VOLUME)),
            made({"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}, normal(*VOLUME)),
            made({"kernel_size": 2, "ceil_mode": True}, normal(*VOLUME[1:])),
        ),
        "reduction",
        "stride defaults to the kernel's size",
    ),
    module_row(
        "AdaptiveAvgPool3d",
        tuple(made({"output_size": size}, normal(*VOLUME)) for size in (1, 3, (2, None, 3))),
        "reduction",
        "any size",
    ),
    module_row(
        "AdaptiveMaxPool3d",
        (
            *(made({"output_size": size}, normal(*VOLUME)) for size in (1, (2, None, 3))),
            made({"output_size": 2, "return_indices": True}, normal(*VOLUME)),
        ),
        "exact",
        "any size; indices",
    ),
)
