"""Pooling in `torch.nn.functional`, and what of it stands in `torch` as well."""

from __future__ import annotations

from typing import Any

from common.api_mapping.arrays import integers, normal, strided, uniform, values, wide
from common.api_mapping.doubles import doubled
from common.api_mapping.row import Case, Row, case, forward_only

F = "torch.nn.functional"
TIED = values(
    1.0, 3.0, 3.0, -1.0, 3.0, 0.0, 0.0, float("nan"), 2.0, float("inf"), float("-inf"), float("-inf"), shape=(1, 1, 12)
)
SHIFTED: tuple[dict[str, Any], ...] = (
    {"stride": 1},
    {"padding": 1},
    {"stride": 2, "padding": 1, "ceil_mode": True},
    {"ceil_mode": True},
)


def windows(image: tuple[int, ...], kernel: int | tuple[int, ...], *calls: dict[str, Any]) -> tuple[Case, ...]:
    """Calls with a window, alone and moved in several ways, on a batch and on a single image."""
    return (
        case(normal(*image), kernel),
        case(normal(*image[1:]), kernel),
        case(wide(*image), 2, 1),
        case(strided(normal(*image)), kernel, kernel, 1),
        *(case(normal(*image), kernel_size=kernel, **keywords) for keywords in (*SHIFTED, *calls)),
    )


LINE, PLANE = (2, 3, 10), (2, 3, 6, 7)
AVERAGE = (
    {"padding": 1, "count_include_pad": False},
    {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
)
LARGEST = (
    {"dilation": 2},
    {"padding": 1, "stride": 2, "return_indices": True},
    {"ceil_mode": True, "dilation": 2, "return_indices": True},
)

BAD_WINDOWS = (case(normal(*LINE), 2, padding=-1), case(normal(*LINE), 2, padding=2), case(normal(*LINE), 2, 0))
ROWS = doubled(
    (
        Row(
            f"{F}.max_pool1d",
            ("shim.max_pool1d",),
            (*windows(LINE, 3, *LARGEST), case(normal(2, 3, 40), 40), forward_only(TIED, 2, 1), forward_only(TIED, 3)),
            "exact",
            refusals=(*BAD_WINDOWS, case(normal(*LINE), 2, dilation=0)),
            adaptation="windows are gathered: any size, dilation and rank, NaN stays NaN, indices in int64",
        ),
        Row(
            "torch.max_pool1d",
            ("shim.max_pool1d",),
            (*windows(LINE, 3, *LARGEST[:1]), case(normal(2, 3, 40), 40), forward_only(TIED, 2, 1)),
            "exact",
            "windows are gathered: any size, dilation and rank, NaN stays NaN",
        ),
        Row(
            f"{F}.max_pool2d",
            ("mint.nn.functional.max_pool2d", "ops.max_pool2d", "shim.max_pool2d"),
            (
                *windows(PLANE, 3, *LARGEST),
                case(normal(*PLANE), (2, 3), (1, 2), (0, 1)),
                forward_only(values(*TIED.data, shape=(1, 1, 3, 4)), 2),
            ),
            "exact",
            "windows are gathered: any size, dilation and rank, NaN stays NaN, indices in int64",
        ),
        *(
            Row(
                f"{section}.avg_pool1d",
                ("mint.nn.functional.avg_pool1d", "ops.avg_pool1d", "shim.avg_pool1d"),
                (
                    *windows(LINE, 3, *AVERAGE),
                    case(normal(2, 3, 40), 40),
                    case(normal(*LINE), (2,), (3,), (1,)),
                    forward_only(integers(*LINE), 3),
                    forward_only(integers(*LINE), 3, padding=1, count_include_pad=False),
                    forward_only(normal(*LINE, dtype="float16", fixed=True), 3),
                ),
                "reduction",
                refusals=BAD_WINDOWS,
                adaptation="windows are gathered: ceil_mode and count_include_pad as in torch",
            )
            for section in ("torch", F)
        ),
        Row(
            f"{F}.avg_pool2d",
            ("mint.nn.functional.avg_pool2d", "ops.avg_pool2d", "shim.avg_pool2d"),
            (
                *windows(PLANE, 3, *AVERAGE, {"divisor_override": 5}),
                case(normal(*PLANE), (2, 3), (1, 2), (0, 1)),
                forward_only(integers(*PLANE), 3),
                forward_only(integers(*PLANE), 3, divisor_override=2),
            ),
            "reduction",
            refusals=(case(normal(*PLANE), 2, padding=2), case(normal(*PLANE), 2, divisor_override=0)),
            adaptation="windows are gathered: ceil_mode, count_include_pad and divisor_override as in torch",
        ),
        *(
            Row(
                f"{section}.adaptive_avg_pool1d",
                ("mint.nn.functional.adaptive_avg_pool1d", "ops.adaptive_avg_pool1d", "shim.adaptive_avg_pool1d"),
                (
                    case(normal(*LINE), 1),
                    case(normal(*LINE), 4),
                    case(normal(3, 7), output_size=3),
                    case(normal(2, 3, 4), (6,)),
                    forward_only(normal(2, 3, 0), 1),
                ),
                "reduction",
                "windows are gathered: any input and output size",
            )
            for section in ("torch", F)
        ),
        Row(
            f"{F}.adaptive_avg_pool2d",
            ("mint.nn.functional.adaptive_avg_pool2d", "ops.adaptive_avg_pool2d", "shim.adaptive_avg_pool2d"),
            (
                case(normal(*PLANE), 1),
                case(normal(*PLANE), (4, 3)),
                case(normal(3, 6, 7), output_size=(None, 2)),
                case(normal(2, 3, 4, 4), 5),
            ),
            "reduction",
            "means of windows that are gathered, where the device has no kernel",
        ),
        Row(
            f"{F}.adaptive_max_pool1d",
            ("mint.nn.functional.adaptive_max_pool1d", "ops.adaptive_max_pool1d", "shim.adaptive_max_pool1d"),
            (
                case(normal(*LINE), 1),
                case(normal(*LINE), 4),
                case(normal(3, 7), output_size=3),
                case(normal(*LINE), 3, return_indices=True),
                forward_only(TIED, 5),
            ),
            "exact",
            "windows are gathered: any input and output size, NaN stays NaN, indices in int64",
        ),
        Row(
            f"{F}.adaptive_max_pool2d",
            ("mint.nn.functional.adaptive_max_pool2d", "ops.adaptive_max_pool2d", "shim.adaptive_max_pool2d"),
            (
                case(normal(*PLANE), 1),
                case(normal(*PLANE), (4, 3)),
                case(normal(3, 6, 7), output_size=(None, 2)),
                case(normal(*PLANE), 3, return_indices=True),
                forward_only(values(*TIED.data, shape=(1, 1, 3, 4)), 2),
            ),
            "exact",
            "windows are gathered: any input and output size, NaN stays NaN, indices in int64",
            refusals=(case(normal(2, 2), (2, 2)),),
        ),
        Row(
            f"{F}.lp_pool1d",
            ("ops.lp_pool1d", "shim.lp_pool1d"),
            (
                case(normal(*LINE), 2, 3),
                case(normal(*LINE), 2.0, 3, 1),
                case(uniform(3, 10, low=0.5, high=2.0), 3.0, kernel_size=2, ceil_mode=True),
                case(values(0.0, 0.0, 3.0, 4.0, shape=(1, 4)), 2, 2),
            ),
            "reduction",
            "windows are gathered: ceil_mode as in torch",
        ),
        Row(
            f"{F}.lp_pool2d",
            ("ops.lp_pool2d", "shim.lp_pool2d"),
            (
                case(normal(*PLANE), 2, 3),
                case(normal(*PLANE), 2.0, (2, 3), 1),
                case(uniform(3, 6, 7, low=0.5, high=2.0), 3.0, kernel_size=2, ceil_mode=True),
            ),
            "reduction",
            "windows are gathered: ceil_mode as in torch",
        ),
    )
)
