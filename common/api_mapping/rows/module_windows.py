"""Convolution, pooling and what else moves windows over `torch.nn` modules' inputs."""

from __future__ import annotations

from typing import Any

from common.api_mapping.arrays import normal, wide
from common.api_mapping.row import Case
from common.api_mapping.rows.modules import made, module_row

SMALL = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}


def _convolution(one: bool) -> tuple[Case, ...]:
    def x(batch: int, channels: int, length: int) -> Any:
        return normal(batch, channels, length) if one else normal(batch, channels, length, 7)

    several = (
        ()
        if one
        else (
            made({**SMALL, "kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}, x(2, 4, 9)),
        )
    )
    return (
        made(SMALL, x(2, 4, 9)),
        made({**SMALL, "stride": 2, "padding": 1}, x(2, 4, 8)),
        made({**SMALL, "padding": 2, "dilation": 2, "bias": False}, x(2, 4, 9)),
        made({**SMALL, "groups": 2}, x(2, 4, 9)),
        made({**SMALL, "groups": 4, "out_channels": 4, "padding": 1}, x(2, 4, 9)),
        made({**SMALL, "padding": "same", "kernel_size": 4}, x(1, 4, 9)),
        made({**SMALL, "padding": "valid"}, x(1, 4, 9)),
        made({**SMALL, "padding": 1, "padding_mode": "reflect"}, x(1, 4, 9)),
        made({**SMALL, "padding": 1, "padding_mode": "replicate"}, x(1, 4, 9)),
        made({**SMALL, "padding": 1, "padding_mode": "circular"}, x(1, 4, 9)),
        made({**SMALL, "kernel_size": 1}, x(2, 4, 5)),
        made(SMALL, normal(4, 9) if one else normal(4, 9, 7)),
        *several,
    )


def _windows(one: bool, mean: bool) -> tuple[Case, ...]:
    shape = (2, 3, 9) if one else (2, 3, 9, 8)
    own: tuple[dict[str, Any], ...] = (
        ({"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False, "ceil_mode": True},)
        if mean
        else ({"kernel_size": 2, "dilation": 2}, {"kernel_size": 2, "return_indices": True})
    )
    own += ({"kernel_size": 3, "divisor_override": 5},) if mean and not one else ()
    own += () if one else ({"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)},)
    setups: tuple[dict[str, Any], ...] = (
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True},
        {"kernel_size": 3, "stride": 1},
        *own,
    )
    return (*(made(setup, normal(*shape)) for setup in setups), made({"kernel_size": 2}, wide(*shape[1:])))


def _shared(one: bool, largest: bool) -> tuple[Case, ...]:
    shape = (2, 3, 8) if one else (2, 3, 8, 7)
    setups: list[dict[str, Any]] = [{"output_size": size} for size in (1, 3, 4)] + (
        [] if one else [{"output_size": (2, 3)}, {"output_size": (None, 2)}]
    )
    setups += [{"output_size": 2, "return_indices": True}] if largest else []
    return (*(made(setup, normal(*shape)) for setup in setups), made({"output_size": 2}, normal(*shape[1:])))


ROWS = (
    module_row(
        "Conv1d",
        _convolution(True),
        adaptation="pads nothing by default, has a bias by default; weight (out, in / groups, kernel)",
    ),
    module_row("Conv2d", _convolution(False), adaptation="pads nothing by default, has a bias by default"),
    module_row(
        "Conv3d",
        (
            made(SMALL, normal(2, 4, 5, 4, 3)),
            made({**SMALL, "stride": (1, 2, 1), "padding": 1}, normal(2, 4, 5, 4, 3)),
            made({**SMALL, "kernel_size": (2, 3, 1), "padding": "valid", "bias": False}, normal(4, 5, 4, 3)),
        ),
        adaptation="pads nothing by default, has a bias by default",
    ),
    module_row(
        "ConvTranspose1d",
        (
            made(SMALL, normal(2, 4, 5)),
            made({**SMALL, "stride": 2, "padding": 1, "output_padding": 1}, normal(2, 4, 5)),
            made({**SMALL, "stride": 3, "dilation": 2, "bias": False}, normal(2, 4, 5)),
            made({**SMALL, "groups": 2, "padding": 3}, normal(2, 4, 9)),
            made(SMALL, normal(4, 5)),
        ),
        adaptation="a convolution of the input with zeros between its values",
        note="output_size and padding_mode are left out",
        others=("nn.Conv1dTranspose",),
    ),
    module_row(
        "ConvTranspose2d",
        (
            made(SMALL, normal(2, 4, 5, 3)),
            made({**SMALL, "stride": 2, "padding": 1, "output_padding": 1}, normal(2, 4, 5, 3)),
            made(
                {**SMALL, "kernel_size": (3, 2), "stride": (1, 3), "dilation": (2, 1), "bias": False},
                normal(2, 4, 5, 3),
            ),
            made({**SMALL, "groups": 2}, normal(4, 5, 3)),
        ),
        adaptation="a convolution of the input with zeros between its values",
        note="output_size and padding_mode are left out",
        others=("nn.Conv2dTranspose",),
    ),
    module_row(
        "MaxPool1d",
        _windows(True, False),
        "exact",
        "stride defaults to the kernel's size; dilation, padding and indices",
    ),
    module_row(
        "MaxPool2d",
        _windows(False, False),
        "exact",
        "stride defaults to the kernel's size; dilation, padding and indices",
    ),
    module_row("AvgPool1d", _windows(True, True), "reduction", "stride defaults to the kernel's size"),
    module_row("AvgPool2d", _windows(False, True), "reduction", "stride defaults to the kernel's size"),
    module_row("AdaptiveAvgPool1d", _shared(True, False), "reduction", "any length"),
    module_row("AdaptiveAvgPool2d", _shared(False, False), "reduction", "any size"),
    module_row("AdaptiveMaxPool1d", _shared(True, True), "exact", "any length; indices"),
    module_row(
        "AdaptiveMaxPool2d",
        _shared(False, True),
        "exact",
        "any size; indices",
        refusals=(made({"output_size": -1}, normal(2, 3, 8, 7)),),
    ),
    module_row(
        "PixelShuffle",
        (made({"upscale_factor": 2}, normal(2, 8, 3, 2)),),
        "exact",
        "moves axes, where the device has no kernel",
    ),
    module_row(
        "PixelUnshuffle",
        (made({"downscale_factor": 2}, normal(2, 2, 6, 4)),),
        "exact",
        "moves axes, where the device has no kernel",
    ),
    module_row(
        "Unfold",
        (
            made({"kernel_size": 2}, normal(2, 3, 4, 5)),
            made({"kernel_size": (2, 3), "dilation": 2, "padding": 1, "stride": 2}, normal(2, 3, 7, 8)),
        ),
        "exact",
        "torch's argument names",
    ),
    module_row(
        "Fold",
        (
            made({"output_size": (4, 5), "kernel_size": 2}, normal(2, 12, 12)),
            made({"output_size": 6, "kernel_size": 3, "padding": 1, "stride": 2}, normal(2, 18, 9)),
        ),
        adaptation="adds up windows; MindSpore's own needs a kernel that the CPU lacks",
    ),
    module_row(
        "Upsample",
        (
            made({"scale_factor": 2}, normal(2, 3, 4)),
            made({"scale_factor": (2.0, 3.0)}, normal(2, 3, 4, 5)),
            made({"size": (8, 10)}, normal(2, 3, 4, 5)),
            made({"size": 7, "mode": "nearest"}, normal(2, 3, 4)),
            made({"scale_factor": 2, "mode": "bilinear"}, normal(2, 3, 4, 5)),
            made({"size": (7, 3), "mode": "bilinear", "align_corners": True}, normal(2, 3, 4, 5)),
            made({"scale_factor": 1.5, "mode": "linear"}, normal(2, 3, 4)),
        ),
        "reduction",
        "the scale is a number or several, and any size is taken",
    ),
)
