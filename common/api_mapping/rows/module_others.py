"""Further modules of `torch.nn` that call one function."""

from __future__ import annotations

from typing import Any

from common.api_mapping.arrays import normal, strided, values
from common.api_mapping.row import Case, Row
from common.api_mapping.rows.modules import made
from common.api_mapping.rows.signal import INDICES_1, INDICES_2, INDICES_3


def _row(name: str, cases: tuple[Case, ...], adaptation: str, tolerance: str = "exact", **rest: Any) -> Row:
    return Row(f"torch.nn.{name}", (f"shim.nn.{name}",), cases, tolerance, adaptation, **rest)


def _pads(*shape: int, least: tuple[int, ...]) -> tuple[Case, ...]:
    return (
        made({"padding": 1}, normal(*shape)),
        made({"padding": least}, normal(*shape)),
        made({"padding": 1}, normal(*shape[1:])),
        made({"padding": 1}, normal(*shape, dtype="float64")),
    )


VOLUME, SIDES = (1, 2, 3, 4, 5), (1, 0, 2, 1, 0, 2)
PLACES = values(3, 0, -1, 1, 2, -1, 0, 0, shape=(2, 4), dtype="int64")
THREE = (normal(3, 4), normal(3, 4), normal(3, 4))

ROWS = (
    *(
        _row(name, _pads(*VOLUME, least=SIDES), "any number of leading axes")
        for name in ("ReflectionPad3d", "ReplicationPad3d", "CircularPad3d")
    ),
    _row("CircularPad2d", _pads(2, 3, 4, 5, least=(1, 0, 3, 2)), "any number of leading axes"),
    _row("Softmax2d", (made({}, normal(2, 3, 4, 5)), made({}, normal(3, 4, 5))), "over the channels", "exponential"),
    _row(
        "ChannelShuffle",
        (made({"groups": 2}, normal(2, 6, 3, 2)), made({"groups": 3}, strided(normal(1, 6, 2, 2)))),
        "any number of axes",
    ),
    _row(
        "UpsamplingNearest2d",
        (made({"scale_factor": 2}, normal(2, 3, 4, 5)), made({"size": (7, 3)}, normal(2, 3, 4, 5))),
        "by interpolate",
        "reduction",
    ),
    _row(
        "UpsamplingBilinear2d",
        (made({"scale_factor": 2}, normal(2, 3, 4, 5)), made({"size": (7, 3)}, normal(2, 3, 4, 5))),
        "corners on corners",
        "reduction",
    ),
    _row(
        "LPPool1d",
        (
            made({"norm_type": 2, "kernel_size": 3}, normal(2, 3, 9)),
            made({"norm_type": 1, "kernel_size": 3, "stride": 2, "ceil_mode": True}, normal(2, 3, 8)),
        ),
        "any norm",
        "reduction",
    ),
    _row(
        "LPPool2d",
        (
            made({"norm_type": 2, "kernel_size": 3}, normal(2, 3, 9, 8)),
            made({"norm_type": 2, "kernel_size": (2, 3), "stride": (1, 2)}, normal(2, 3, 8, 7)),
        ),
        "any norm",
        "reduction",
    ),
    _row(
        "MaxUnpool1d",
        (
            made({"kernel_size": 2}, normal(1, 2, 3), INDICES_1),
            made({"kernel_size": 2}, normal(1, 2, 3), INDICES_1, output_size=(7,)),
        ),
        "places are checked",
    ),
    _row(
        "MaxUnpool2d",
        (
            made({"kernel_size": 2}, normal(1, 2, 2, 2), INDICES_2),
            made({"kernel_size": 2, "stride": 2}, normal(1, 2, 2, 2), INDICES_2, output_size=(5, 5)),
        ),
        "places are checked",
    ),
    _row("MaxUnpool3d", (made({"kernel_size": 2}, normal(1, 1, 2, 2, 2), INDICES_3),), "places are checked"),
    _row(
        "MultiLabelMarginLoss",
        (made({}, normal(2, 4), PLACES), made({"reduction": "none"}, normal(2, 4), PLACES)),
        "labels end with the first -1",
        "reduction",
    ),
    _row(
        "TripletMarginWithDistanceLoss",
        (made({}, *THREE), made({"margin": 0.5, "swap": True, "reduction": "sum"}, *THREE)),
        "any distance that takes two tensors",
        "reduction",
    ),
)
