"""Short-time Fourier transforms, sampling at places, and what undoes a pooling."""

from __future__ import annotations

from common.api_mapping.arrays import integers, normal, strided, uniform, values
from common.api_mapping.row import Row, alias, case, forward_only

WINDOW = uniform(8, low=0.2, high=1.0, fixed=True)
COMPLEX = {"return_complex": True}
_STFT = Row(
    "torch.stft",
    ("shim.stft",),
    (
        case(normal(40), 8, **COMPLEX),
        case(normal(2, 40), 8, 3, window=WINDOW, **COMPLEX),
        case(normal(40), n_fft=8, hop_length=4, win_length=5, **COMPLEX),
        case(normal(40), 8, center=False, normalized=True, **COMPLEX),
        case(normal(30), 7, onesided=False, pad_mode="constant", **COMPLEX),
        case(normal(2, 40, dtype="float64"), 8, **COMPLEX),
        case(strided(normal(12, 12)), 8, **COMPLEX),
    ),
    "reduction",
    "frames are gathered; float64 and strided inputs too",
    refusals=(case(normal(40), 8), case(normal(4), 8, center=False, **COMPLEX), case(normal(40), 8, 0, **COMPLEX)),
)
C64 = "complex64"
_ISTFT = Row(
    "torch.istft",
    ("shim.istft",),
    (
        case(normal(5, 11, dtype=C64), 8),
        case(normal(2, 5, 11, dtype=C64), 8, 3, window=WINDOW),
        case(normal(5, 11, dtype=C64), 8, length=15),
        case(normal(5, 11, dtype=C64), 8, normalized=True),
        case(normal(8, 11, dtype=C64), 8, onesided=False),
        case(normal(5, 11, dtype="complex128"), 8),
    ),
    "reduction",
    "frames are added up in order",
    refusals=(case(normal(5, 11), 8), case(normal(4, 11, dtype=C64), 8)),
)
INDICES_1 = values(1, 2, 5, 0, 3, 4, shape=(1, 2, 3), dtype="int64")
INDICES_2 = values(0, 3, 9, 15, 5, 2, 8, 10, shape=(1, 2, 2, 2), dtype="int64")
INDICES_3 = values(0, 63, 9, 15, 5, 2, 8, 10, shape=(1, 1, 2, 2, 2), dtype="int64")
UNPOOLED = "places are checked; one example without the batch axis too"


def _unpool(number: int, calls) -> Row:
    name = f"max_unpool{number}d"
    return Row(f"torch.nn.functional.{name}", (f"shim.{name}",), calls, "exact", UNPOOLED)


FUNCTIONS = (
    _unpool(
        1,
        (
            case(normal(1, 2, 3), INDICES_1, 2),
            case(normal(1, 1, 3), values(1, 1, 4, shape=(1, 1, 3), dtype="int64"), 3, 2),
            case(normal(1, 2, 3), INDICES_1, 2, output_size=(7,)),
            forward_only(normal(2, 3), values(1, 2, 5, 0, 3, 4, shape=(2, 3), dtype="int64"), 2),
        ),
    ),
    _unpool(
        2,
        (
            case(normal(1, 2, 2, 2), INDICES_2, 2),
            case(normal(1, 2, 2, 2), INDICES_2, (2, 2), stride=2, output_size=(5, 5)),
            forward_only(normal(1, 2, 2, 2, dtype="float64"), INDICES_2, 2),
        ),
    ),
    _unpool(3, (case(normal(1, 1, 2, 2, 2), INDICES_3, 2),)),
    Row(
        "torch.nn.functional.channel_shuffle",
        ("shim.channel_shuffle",),
        (
            case(normal(2, 6, 3), 2),
            case(normal(2, 6, 3, 2), groups=3),
            forward_only(integers(1, 4, 2, 2), 2),
            case(strided(normal(2, 4, 4)), 2),
            case(normal(2, 4, 3, dtype="float64"), 2),
        ),
        "exact",
        "any number of axes and any dtype",
        refusals=(case(normal(2, 5, 3), 2),),
    ),
    Row(
        "torch.pdist",
        ("shim.pdist",),
        (
            case(normal(4, 3)),
            case(normal(4, 3), 1.0),
            case(normal(4, 3), p=3.0),
            forward_only(normal(4, 3), float("inf")),
            case(normal(3, 3, dtype="float64")),
            forward_only(normal(1, 3)),
        ),
        "reduction",
        "pairs are gathered; of one row nothing",
        refusals=(case(normal(3)), case(normal(3, 3), -1.0)),
    ),
    Row(
        "torch.nn.functional.multilabel_margin_loss",
        ("shim.multilabel_margin_loss",),
        (
            case(normal(2, 4), values(3, 0, -1, 1, 2, -1, 0, 0, shape=(2, 4), dtype="int64")),
            case(normal(2, 4), values(3, 0, -1, 1, -1, -1, 0, 0, shape=(2, 4), dtype="int64"), reduction="none"),
            case(normal(4), values(1, -1, 0, 0, dtype="int64"), reduction="sum"),
            case(normal(2, 3, dtype="float64"), values(2, 0, 1, 0, -1, -1, shape=(2, 3), dtype="int64")),
        ),
        "reduction",
        "labels end with the first -1; places are checked",
        refusals=(
            case(normal(2, 3), values(3, 0, 1, 0, -1, -1, shape=(2, 3), dtype="int64")),
            case(normal(3), values(1, -1, 0, dtype="int64"), reduction="abc"),
        ),
    ),
    Row(
        "torch.nn.functional.triplet_margin_with_distance_loss",
        ("shim.triplet_margin_with_distance_loss",),
        (
            case(normal(3, 4), normal(3, 4), normal(3, 4)),
            case(normal(3, 4), normal(3, 4), normal(3, 4), margin=0.5, swap=True, reduction="sum"),
            case(normal(3, 4), normal(3, 4), normal(3, 4), reduction="none"),
        ),
        "reduction",
        "any distance that takes two tensors",
        refusals=(case(normal(3, 4), normal(3, 4), normal(3, 4), margin=-1.0),),
    ),
)
GRID = uniform(1, 3, 3, 2, low=-1.2, high=1.2)
IMAGE = normal(1, 2, 4, 5)
LOGS = uniform(8, 2, 5, low=-4.0, high=-0.1)
LABELS = values(1, 2, 2, 3, 1, 4, shape=(2, 3), dtype="int64")
SAMPLING = (
    Row(
        "torch.nn.functional.grid_sample",
        ("shim.grid_sample",),
        (
            *(
                case(IMAGE, GRID, mode, padding, align_corners=corners)
                for mode in ("bilinear", "nearest")
                for padding, corners in (("zeros", False), ("border", True), ("reflection", False))
            ),
            case(normal(1, 2, 3, 4, 5), uniform(1, 2, 3, 2, 3, low=-1.2, high=1.2), align_corners=True),
            case(normal(2, 1, 3, 3, dtype="float64"), uniform(2, 2, 2, 2, low=-1.0, high=1.0, dtype="float64")),
            case(strided(normal(1, 2, 4, 4)), strided(uniform(1, 2, 2, 2, low=-1.0, high=1.0))),
        ),
        "reduction",
        "align_corners may be left out; strided inputs",
        "Bicubic sampling raises an error.",
        limits={"float64": "the kernel is accurate to float32 only, so the adapter refuses float64"},
        refusals=(case(IMAGE, GRID, "abc"), case(normal(2, 4, 5), GRID), case(normal(2, 2, 4, 5), GRID)),
    ),
    Row(
        "torch.nn.functional.affine_grid",
        ("shim.affine_grid",),
        (
            case(normal(2, 2, 3), (2, 3, 4, 5)),
            case(normal(2, 2, 3), (2, 3, 4, 5), align_corners=True),
            case(normal(1, 3, 4), (1, 1, 2, 3, 4), False),
            case(normal(2, 2, 3, dtype="float64"), (2, 3, 1, 5)),
        ),
        "reduction",
        "align_corners may be left out; a side of one element",
        refusals=(case(normal(2, 2, 3), (3, 3, 4, 5)), case(normal(2, 3), (2, 3, 4, 5))),
    ),
    Row(
        "torch.nn.functional.ctc_loss",
        ("shim.ctc_loss",),
        (
            case(LOGS, LABELS, (8, 7), (3, 2)),
            case(LOGS, LABELS, values(8, 7, dtype="int64"), values(3, 0, dtype="int64"), reduction="none"),
            case(LOGS, LABELS, (8, 8), (3, 3), reduction="sum"),
            case(LOGS, LABELS, (3, 7), (3, 2), zero_infinity=True),
            forward_only(LOGS, LABELS, (3, 7), (3, 2)),
            case(LOGS, LABELS, (8, 7), (2, 2), 0, "mean"),
            case(uniform(8, 2, 5, low=-4.0, high=-0.1, dtype="float64"), LABELS, (8, 7), (3, 2)),
        ),
        "exponential",
        "lengths are tuples or tensors; reductions",
        "Targets are padded; targets one after another raise an error.",
        refusals=(case(LOGS, LABELS, (9, 7), (3, 2)), case(LOGS, LABELS, (8, 7), (3, 2), reduction="abc")),
    ),
)
_PDIST = FUNCTIONS[4]
ROWS = (
    _STFT,
    _ISTFT,
    *(alias(row, row.name.replace("torch.", "torch.Tensor.")) for row in (_STFT, _ISTFT)),
    *FUNCTIONS,
    *SAMPLING,
    alias(_PDIST, "torch.nn.functional.pdist"),
)
