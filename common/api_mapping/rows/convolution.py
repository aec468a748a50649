"""Convolution, padding, resizing and rearranging in `torch.nn.functional`."""

from __future__ import annotations

from common.api_mapping.arrays import boolean, integers, normal, strided, values
from common.api_mapping.doubles import doubled
from common.api_mapping.row import Row, case, forward_only

F = "torch.nn.functional"
LINE = (
    case(normal(2, 3, 9), normal(4, 3, 3)),
    case(normal(2, 3, 9), normal(4, 3, 3), normal(4), 2, 1),
    case(normal(2, 3, 9), weight=normal(4, 3, 2), bias=normal(4), dilation=2),
    case(normal(2, 4, 9), normal(6, 2, 3), groups=2, padding=(2,)),
    case(normal(2, 4, 9), normal(4, 1, 3), normal(4), groups=4, padding="same"),
    case(normal(2, 3, 9), normal(4, 3, 4), padding="same", dilation=2),
    case(normal(2, 3, 9), normal(4, 3, 4), padding="valid"),
    case(normal(3, 9), normal(4, 3, 3), normal(4)),
    case(strided(normal(2, 9, 9)), normal(4, 9, 1)),
)
PLANE = (
    case(normal(2, 3, 6, 7), normal(4, 3, 3, 3)),
    case(normal(2, 3, 6, 7), normal(4, 3, 3, 2), normal(4), 2, 1),
    case(normal(2, 3, 6, 7), weight=normal(4, 3, 2, 2), bias=normal(4), stride=(2, 1), padding=(0, 2), dilation=(1, 2)),
    case(normal(2, 4, 6, 7), normal(6, 2, 3, 3), groups=2),
    case(normal(2, 4, 6, 7), normal(8, 1, 3, 3), normal(8), padding=1, groups=4),
    case(normal(2, 3, 6, 7), normal(4, 3, 4, 3), padding="same"),
    case(normal(2, 3, 6, 7), normal(4, 3, 2, 2), padding="same", dilation=2),
    case(normal(2, 3, 6, 7), normal(4, 3, 3, 3), padding="valid", stride=2),
    case(normal(3, 6, 7), normal(4, 3, 3, 3), normal(4)),
)
BACK_LINE = (
    case(normal(2, 3, 5), normal(3, 4, 3)),
    case(normal(2, 3, 5), normal(3, 4, 3), normal(4), 2, 1, 1),
    case(normal(2, 4, 5), weight=normal(4, 3, 3), bias=normal(6), groups=2, dilation=2, padding=1),
    case(normal(3, 5), normal(3, 4, 3), stride=3),
)
BACK_PLANE = (
    case(normal(2, 3, 4, 5), normal(3, 4, 3, 3)),
    case(normal(2, 3, 4, 5), normal(3, 4, 3, 2), normal(4), 2, 1, 1),
    case(normal(2, 4, 4, 5), weight=normal(4, 3, 3, 3), bias=normal(6), groups=2, dilation=2, padding=1),
    case(normal(3, 4, 5), normal(3, 4, 2, 2), stride=(2, 3)),
    case(normal(2, 3, 4, 5), normal(3, 4, 3, 3), stride=2, output_padding=(1, 0)),
)
_AS_PRODUCT = "on the CPU a product over gathered windows, since MindSpore's kernel there is slow"
SHUFFLES = (
    ("pixel_shuffle", (normal(2, 8, 3, 4), normal(4, 2, 3), normal(2, 3, 8, 2, 2))),
    ("pixel_unshuffle", (normal(2, 2, 4, 6), normal(1, 4, 2))),
)

ROWS = doubled(
    (
        *(
            Row(
                f"{section}.conv1d",
                ("mint.nn.functional.conv1d", "ops.conv1d", "shim.conv1d"),
                LINE,
                "reduction",
                adaptation=f'torch\'s argument order, padding="same" and "valid", inputs without a batch; {_AS_PRODUCT}',
            )
            for section in ("torch", F)
        ),
        *(
            Row(
                f"{section}.conv2d",
                ("mint.nn.functional.conv2d", "ops.conv2d", "shim.conv2d"),
                PLANE,
                "reduction",
                adaptation=f'torch\'s argument order, padding="same" and "valid", inputs without a batch; {_AS_PRODUCT}',
            )
            for section in ("torch", F)
        ),
        *(
            Row(
                f"{section}.conv_transpose1d",
                ("shim.conv_transpose1d",),
                BACK_LINE,
                "reduction",
                adaptation=f"MindSpore has it as a module only; {_AS_PRODUCT}",
            )
            for section in ("torch", F)
        ),
        *(
            Row(
                f"{section}.conv_transpose2d",
                ("mint.nn.functional.conv_transpose2d", "ops.conv_transpose2d", "shim.conv_transpose2d"),
                BACK_PLANE,
                "reduction",
                adaptation=f"through the older operator; {_AS_PRODUCT}",
            )
            for section in ("torch", F)
        ),
        Row(
            f"{F}.pad",
            ("mint.nn.functional.pad", "ops.pad", "shim.pad"),
            (
                case(normal(3, 4), (1, 2)),
                case(normal(3, 4), (1, 2, 0, 3), "constant", 2.5),
                case(normal(3, 4), pad=(1, 1), value=-1.0),
                case(normal(3, 4), (-1, 2)),
                case(normal(2, 3, 4), [0, 0, -1, -1, 1, 0], value=0.5),
                case(strided(normal(3, 4)), (2, 0, 1, 0)),
                forward_only(integers(3, 4), (1, 2), value=7),
                forward_only(integers(3, 4, dtype="int32"), (1, 2, 3, 4)),
                forward_only(boolean(3, 4), (0, 2), value=True),
                forward_only(normal(3, 4), (1, 1), value=float("-inf")),
                forward_only(normal(0, 4), (1, 1, 1, 1)),
                case(normal(2, 3, 5), (2, 3), mode="reflect"),
                case(normal(2, 3, 5, 6), (2, 3, 1, 4), "reflect"),
                case(normal(2, 3, 5), (2, 3), mode="replicate"),
                case(normal(2, 3, 5, 6), (2, 3, 1, 7), "replicate"),
                case(normal(2, 3, 5), (2, 3), mode="circular"),
                case(normal(2, 3, 5, 6), (2, 3, 1, 4), "circular"),
                case(normal(1, 3, 4, 4), (-1, 1, -2, 1), "circular"),
                case(normal(3, 5), (4, 1), mode="reflect"),
                case(normal(2, 3, 5, 6), (-2, 3, 1, -4), "replicate"),
                case(normal(2, 3, 4, 4), (-4, 5, 0, 0), "replicate"),
            ),
            "exact",
            adaptation="called pad, not padding; cuts (negative numbers) are done first, since MindSpore's pads then give wrong values from the second call on",
        ),
        Row(
            f"{F}.unfold",
            ("mint.nn.functional.unfold", "ops.unfold", "shim.unfold"),
            (
                case(normal(2, 3, 5, 6), 3),
                case(normal(2, 3, 5, 6), (2, 3), dilation=2, padding=1, stride=2),
                case(normal(2, 3, 5, 6), kernel_size=(1, 2), padding=(1, 0), stride=(2, 1)),
                case(normal(3, 5, 6), 2),
            ),
            "exact",
            adaptation="inputs without a batch",
        ),
        Row(
            f"{F}.fold",
            ("mint.nn.functional.fold", "ops.fold", "shim.fold"),
            (
                case(normal(2, 27, 12), (5, 6), 3),
                case(normal(2, 18, 6), output_size=(5, 6), kernel_size=(2, 3), dilation=2, padding=1, stride=2),
                case(normal(8, 16), 5, 2),
                forward_only(values(*[1.0, 2.0, float("nan"), 4.0] * 16, shape=(4, 16)), 5, 2),
            ),
            "rounding",
            adaptation="the columns are added one by one, so that NaN stays in its place; ops takes the size as a tensor",
        ),
        *(
            Row(
                f"{section}.{name}",
                (f"mint.nn.functional.{name}", f"ops.{name}"),
                tuple(case(x, 2) for x in inputs),
                "exact",
            )
            for name, inputs in SHUFFLES
            for section in ("torch", F)
        ),
        Row(
            "torch.channel_shuffle",
            ("ops.channel_shuffle", "shim.channel_shuffle"),
            (case(normal(2, 6, 3, 4), 3), case(normal(2, 6, 2), groups=2)),
            "exact",
            adaptation="composed, since the operator has no gradient",
        ),
        Row(
            f"{F}.interpolate",
            ("mint.nn.functional.interpolate", "ops.interpolate", "shim.interpolate"),
            (
                case(normal(2, 3, 5), 8),
                case(normal(2, 3, 5), size=3),
                case(normal(2, 3, 4, 5), scale_factor=2),
                case(normal(2, 3, 4, 5), size=(6, 3), mode="nearest"),
                case(normal(2, 3, 4, 5), scale_factor=(1.5, 0.6)),
                case(normal(2, 3, 4, 5), size=(6, 3), mode="nearest-exact"),
                case(normal(2, 3, 5), size=8, mode="linear"),
                case(normal(2, 3, 5), scale_factor=1.7, mode="linear"),
                case(normal(2, 3, 5), size=8, mode="linear", align_corners=True),
                case(normal(2, 3, 4, 5), size=(7, 3), mode="bilinear"),
                case(normal(2, 3, 4, 5), scale_factor=2, mode="bilinear", align_corners=False),
                case(normal(2, 3, 4, 5), scale_factor=2.3, mode="bilinear", recompute_scale_factor=True),
                case(normal(2, 3, 4, 5), (1, 9), None, "bilinear", True),
                case(normal(2, 3, 4, 5), (7, 9), mode="bicubic"),
                case(normal(2, 3, 4, 5), (3, 7), mode="area"),
                case(normal(2, 3, 8), scale_factor=0.6, mode="area"),
                forward_only(integers(2, 3, 4, 5, low=0, high=250, dtype="uint8"), size=(6, 3)),
                forward_only(integers(2, 3, 4, 5, low=0, high=250, dtype="uint8"), size=(6, 3), mode="bilinear"),
                forward_only(normal(2, 3, 4, 5, dtype="float16", fixed=True), size=(6, 3), mode="bilinear"),
            ),
            "reduction",
            limits={
                "uint8 2x3x4x5 in [0, 250), size=(6, 3), mode=bilinear": "torch resizes uint8 in fixed point; cast to float32 and round"
            },
            adaptation="each axis is gathered: whole scale factors, every mode",
        ),
    )
)
