"""Losses of `torch.nn.functional`."""

from __future__ import annotations

from typing import Any

from common.api_mapping.arrays import Array, integers, normal, strided, uniform, values, wide
from common.api_mapping.doubles import doubled
from common.api_mapping.row import Case, Row, case, forward_only

F = "torch.nn.functional"
SIGNS = values(1.0, -1.0, -1.0, 1.0, fixed=True)
REDUCTIONS = ("mean", "sum", "none")
BEYOND = values(float("nan"), float("inf"), 1.0, float("-inf"))


def candidates(name: str) -> tuple[str, ...]:
    """MindSpore's own functions of that name, then the adapter."""
    return f"mint.nn.functional.{name}", f"ops.{name}", f"shim.{name}"


def own(name: str) -> tuple[str, ...]:
    """Without an adapter."""
    return candidates(name)[:2]


def reduced(*arguments: Any, **keywords: Any) -> tuple[Case, ...]:
    """The call with each reduction."""
    return tuple(case(*arguments, **keywords, reduction=reduction) for reduction in REDUCTIONS)


def pairs(*calls: dict[str, Any], infinite: bool = True) -> tuple[Case, ...]:
    """Calls of a loss of an input and a target of one shape."""
    return (
        case(normal(3, 4), normal(3, 4)),
        *reduced(normal(3, 4), normal(3, 4)),
        case(strided(wide(4, 5)), wide(4, 5), reduction="sum"),
        case(normal(), normal()),
        *(case(wide(4, 5), normal(4, 5), **keywords) for keywords in calls),
        *((forward_only(BEYOND, normal(4), reduction="none"),) if infinite else ()),
    )


def labels(*shape: int, classes: int, ignored: bool = False) -> Array:
    """Class indices, some of them -100."""
    if not ignored:
        return integers(*shape, low=0, high=classes)
    return values(
        *([1, -100, 0, 2, -100, 1] * 4)[: shape[0] * (shape[1] if len(shape) > 1 else 1)], shape=shape, dtype="int64"
    )


def chances(*shape: int) -> Array:
    """Values between 0 and 1, away from both."""
    return uniform(*shape, low=0.05, high=0.95)


def chosen(weights: Array) -> tuple[Case, ...]:
    """What cross entropy and its second half share."""
    return (
        case(normal(6, 3), labels(6, classes=3)),
        *reduced(normal(6, 3), labels(6, classes=3, ignored=True)),
        *reduced(normal(6, 3), labels(6, classes=3, ignored=True), weight=weights),
        case(normal(6, 3), labels(6, classes=3), weights, ignore_index=1),
        case(normal(2, 3, 4), labels(2, 4, classes=3), reduction="none"),
        case(normal(2, 3, 3), labels(2, 3, classes=3, ignored=True), weight=weights),
        case(normal(2, 3, 2, 2), labels(2, 2, 2, classes=3)),
        case(normal(3), labels(classes=3)),
        case(strided(normal(4, 4)), labels(4, classes=4), reduction="sum"),
        forward_only(normal(2, 3), values(-100, -100, dtype="int64")),
        forward_only(UNSCORED, values(-100, 1, dtype="int64")),
        forward_only(UNSCORED, values(2, 1, dtype="int64"), reduction="none"),
    )


CERTAIN = values(12.0, 0.0, 0.5, 0.0, 11.0, -1.0, shape=(2, 3))  #: losses of 1e-5
UNSCORED = values(float("nan"), 1.0, 2.0, 0.5, 0.1, -1.0, shape=(2, 3))  #: NaN where no label is scored
WEIGHTS = uniform(3, low=0.5, high=2.0, fixed=True)
CROSS_ENTROPY = (
    *chosen(WEIGHTS),
    case(wide(6, 3), labels(6, classes=3, ignored=True)),
    *reduced(normal(6, 3), labels(6, classes=3, ignored=True), label_smoothing=0.1),
    *reduced(normal(6, 3), labels(6, classes=3, ignored=True), weight=WEIGHTS, label_smoothing=0.2),
    *reduced(normal(6, 3), chances(6, 3), weight=WEIGHTS, label_smoothing=0.1),
    case(normal(6, 3), chances(6, 3)),
    case(normal(2, 3, 4), chances(2, 3, 4)),
    case(normal(3), chances(3)),
    case(CERTAIN, values(0, 1, dtype="int64"), reduction="none"),
    forward_only(UNSCORED, values(-100, 1, dtype="int64"), label_smoothing=0.1),
)

UNKNOWN = "abc"  #: a reduction that there is not
HALVES = normal(3, 4, dtype="float16", fixed=True)


def unreduced(*arguments: Any, **keywords: Any) -> Case:
    """The call with a reduction that there is not."""
    return case(*arguments, **keywords, reduction=UNKNOWN)


PAIR = unreduced(normal(3, 4), normal(3, 4))
BAD_CLASSES = (
    unreduced(normal(2, 3), values(0, 1, dtype="int64")),
    case(normal(2, 3), values(0, -1, dtype="int64")),
    case(normal(2, 3), values(0, 3, dtype="int64")),
    case(normal(2, 3, 2), values(0, -1, 2, 1, shape=(2, 2), dtype="int64"), reduction="none"),
)
CLASS = "a class that does not exist is refused, in a graph it gives NaN"
ROWS = doubled(
    (
        Row(
            f"{F}.cross_entropy",
            ("shim.cross_entropy", *own("cross_entropy")),
            CROSS_ENTROPY,
            "reduction",
            f"{CLASS}; logarithms in float64 on the CPU, whose kernel is off by 1 % near probability 1 and loses NaN",
            refusals=(*BAD_CLASSES, case(normal(2, 3), values(0, 1, dtype="int64"), label_smoothing=1.5)),
        ),
        Row(
            f"{F}.nll_loss",
            ("shim.nll_loss", *own("nll_loss")),
            chosen(WEIGHTS),
            "reduction",
            CLASS,
            refusals=BAD_CLASSES,
        ),
        Row(
            f"{F}.mse_loss",
            candidates("mse_loss"),
            (*pairs(), forward_only(HALVES, HALVES), forward_only(normal(0, 3), normal(0, 3))),
            "reduction",
            adaptation="ops computes float64 in float32",
            refusals=(PAIR,),
        ),
        Row(
            f"{F}.l1_loss",
            candidates("l1_loss"),
            (*pairs(), forward_only(HALVES, HALVES), forward_only(normal(0, 3), normal(0, 3))),
            "reduction",
            adaptation="ops computes float64 in float32",
            refusals=(PAIR,),
        ),
        Row(
            f"{F}.smooth_l1_loss",
            candidates("smooth_l1_loss"),
            pairs({"beta": 0.5}, {"beta": 3.0, "reduction": "none"}, {"beta": 0.0}),
            "reduction",
            adaptation="reduction is mean unless given, none in ops; beta=0",
            refusals=(PAIR, case(normal(3), normal(3), beta=-1.0)),
        ),
        Row(
            f"{F}.huber_loss",
            candidates("huber_loss"),
            pairs({"delta": 0.5}, {"delta": 3.0, "reduction": "none"}),
            "reduction",
            refusals=(PAIR, case(normal(3), normal(3), delta=0.0)),
            adaptation="ops computes float64 in float32",
        ),
        Row(
            f"{F}.binary_cross_entropy",
            candidates("binary_cross_entropy"),
            (
                case(chances(3, 4), chances(3, 4)),
                *reduced(chances(3, 4), chances(3, 4), weight=uniform(3, 4, low=0.5, high=2.0, fixed=True)),
                case(chances(3, 4), chances(3, 4), uniform(4, low=0.5, high=2.0, fixed=True)),
                case(chances(4), values(0.0, 1.0, 1.0, 0.0, fixed=True), reduction="none"),
                case(values(0.0, 1.0, 0.0, 1.0, 1e-13), values(0.0, 0.0, 1.0, 1.0, 0.3, fixed=True), reduction="none"),
                forward_only(values(0.0, 1.0, 0.0, 1.0), values(0.0, 0.0, 1.0, 1.0), reduction="none"),
            ),
            "reduction",
            "logarithms in float64 on the CPU, of 0 taken as -100; what is no probability is refused, in a graph it gives NaN",
            refusals=(
                unreduced(chances(3), chances(3)),
                case(values(0.5, 1.5), chances(2)),
                case(values(float("nan")), chances(1)),
            ),
        ),
        Row(
            f"{F}.binary_cross_entropy_with_logits",
            candidates("binary_cross_entropy_with_logits"),
            (
                *pairs(),
                case(normal(3, 4), chances(3, 4), pos_weight=uniform(4, low=0.5, high=2.0, fixed=True)),
                *reduced(
                    wide(3, 4),
                    chances(3, 4),
                    weight=uniform(3, 4, low=0.5, high=2.0, fixed=True),
                    pos_weight=uniform(4, low=0.5, high=2.0, fixed=True),
                ),
                case(normal(3, 4), chances(3, 4), uniform(4, low=0.5, high=2.0, fixed=True)),
            ),
            "reduction",
            adaptation="any dtype; MindSpore's has no float64",
            refusals=(unreduced(normal(3), chances(3)),),
        ),
        Row(
            f"{F}.kl_div",
            candidates("kl_div"),
            (
                case(normal(3, 4), chances(3, 4), reduction="batchmean"),
                *reduced(normal(3, 4), chances(3, 4)),
                *reduced(normal(3, 4), normal(3, 4), log_target=True),
                case(normal(3, 4), normal(3, 4), reduction="batchmean", log_target=True),
                forward_only(normal(4), values(0.0, 0.5, 1.0, 0.0), reduction="none"),
            ),
            "reduction",
            "log_target; 0 log 0 is 0; logarithms in float64 on the CPU",
            refusals=(unreduced(normal(3), chances(3)),),
        ),
        Row(
            f"{F}.cosine_embedding_loss",
            candidates("cosine_embedding_loss"),
            (
                case(normal(4, 3), normal(4, 3), SIGNS),
                *reduced(normal(4, 3), normal(4, 3), SIGNS, margin=0.3),
                case(normal(3), normal(3), values(1.0, shape=(), fixed=True)),
            ),
            "reduction",
            adaptation="inputs without a batch",
            refusals=(unreduced(normal(4, 3), normal(4, 3), SIGNS),),
        ),
        Row(
            f"{F}.margin_ranking_loss",
            candidates("margin_ranking_loss"),
            (
                case(normal(4), normal(4), SIGNS),
                *reduced(normal(4), normal(4), SIGNS, margin=0.5),
                forward_only(BEYOND, normal(4), SIGNS, reduction="none"),
            ),
            "reduction",
            adaptation="NaN stays NaN",
            refusals=(unreduced(normal(4), normal(4), SIGNS),),
        ),
        Row(
            f"{F}.hinge_embedding_loss",
            candidates("hinge_embedding_loss"),
            (
                case(normal(4), SIGNS),
                *reduced(normal(3, 4), SIGNS, margin=0.5),
                forward_only(BEYOND, SIGNS, reduction="none"),
            ),
            "reduction",
            adaptation="infinite inputs as in torch",
            refusals=(unreduced(normal(4), SIGNS),),
        ),
        Row(
            f"{F}.triplet_margin_loss",
            candidates("triplet_margin_loss"),
            (
                case(normal(4, 3), normal(4, 3), normal(4, 3)),
                *reduced(normal(4, 3), normal(4, 3), normal(4, 3), margin=0.5, swap=True),
                case(normal(4, 3), normal(4, 3), normal(4, 3), 2.0, 1.0),
                case(normal(3), normal(3), normal(3), p=3.0, eps=1e-3),
                case(*(values(1.0, 2.0, 2.0, shape=(1, 3)) for _ in range(3)), swap=True),
            ),
            "reduction",
            adaptation="composed; ops has no CPU kernel",
            refusals=(
                unreduced(normal(4, 3), normal(4, 3), normal(4, 3)),
                case(normal(4, 3), normal(4, 3), normal(4, 3), margin=-1.0),
            ),
        ),
        Row(
            f"{F}.soft_margin_loss",
            candidates("soft_margin_loss"),
            (
                case(normal(4), SIGNS),
                *reduced(wide(4), SIGNS),
                case(values(36.0, dtype="float64"), values(1.0, dtype="float64", fixed=True)),
            ),
            "reduction",
            "exponentials in float64 on the CPU",
            refusals=(unreduced(normal(4), SIGNS),),
        ),
        Row(
            f"{F}.multi_margin_loss",
            candidates("multi_margin_loss"),
            (
                case(normal(4, 3), labels(4, classes=3)),
                *reduced(normal(4, 3), labels(4, classes=3), p=2, margin=0.5, weight=WEIGHTS),
                case(normal(3), labels(classes=3)),
                case(values(1.0, 0.0, 2.0, 0.0, 1.0, -1.0, shape=(2, 3)), labels(2, classes=3)),
            ),
            "reduction",
            adaptation="margin may be a fraction, weight may be left out; a class that does not exist is refused, in a graph it is not",
            refusals=(*BAD_CLASSES[:3], case(normal(2, 3), values(0, 1, dtype="int64"), p=3)),
        ),
        Row(
            f"{F}.multilabel_soft_margin_loss",
            candidates("multilabel_soft_margin_loss"),
            (
                case(normal(4, 3), chances(4, 3)),
                *reduced(wide(4, 3), chances(4, 3), weight=WEIGHTS),
                case(normal(3), chances(3)),
            ),
            "reduction",
            adaptation="ops computes float64 in float32",
            refusals=(unreduced(normal(4, 3), chances(4, 3)),),
        ),
        Row(
            f"{F}.gaussian_nll_loss",
            candidates("gaussian_nll_loss"),
            (
                case(normal(4, 3), normal(4, 3), uniform(4, 3, low=0.5, high=2.0)),
                *reduced(normal(4, 3), normal(4, 3), uniform(4, low=0.5, high=2.0), full=True),
                case(normal(4, 3), normal(4, 3), uniform(4, 1, low=0.5, high=2.0), eps=1.0),
            ),
            "reduction",
            "logarithms in float64 on the CPU; the gradient passes where the variance is raised to eps",
            refusals=(unreduced(normal(3), normal(3), chances(3)), case(normal(3), normal(3), values(-1.0, 1.0, 1.0))),
        ),
        Row(
            f"{F}.poisson_nll_loss",
            candidates("poisson_nll_loss"),
            (
                case(normal(4, 3), uniform(4, 3, low=0.0, high=5.0, fixed=True)),
                *reduced(chances(4, 3), uniform(4, 3, low=0.0, high=5.0, fixed=True), log_input=False, full=True),
                case(normal(4, 3), uniform(4, 3, low=0.0, high=5.0, fixed=True), full=True),
                forward_only(integers(5), integers(5, low=0, high=5)),
                forward_only(integers(5), integers(5, low=0, high=5), full=True, reduction="none"),
            ),
            "reduction",
            refusals=(unreduced(normal(3), chances(3)),),
            adaptation="library functions in float64 on the CPU",
        ),
    )
)
