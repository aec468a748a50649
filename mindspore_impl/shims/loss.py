"""Losses. What follows the deprecated arguments size_average and reduce in torch is taken by keyword only."""

from __future__ import annotations

import math

from mindspore import Tensor, ops

from mindspore_impl.shims.activation import softplus
from mindspore_impl.shims.arithmetic import minimum, number
from mindspore_impl.shims.checks import check_axes, check_indices, check_reduction, check_shape, check_values
from mindspore_impl.shims.network import pairwise_distance
from mindspore_impl.shims.pointwise import broadcast_shape, fine, floating, log, log1p, real, single
from mindspore_impl.shims.reduction import _larger, _mean, total
from mindspore_impl.shims.softmax import log_softmax

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
]


_TWO_PI, _HALF_LOG_2PI = (
    2.0 * math.pi,
    0.5 * math.log(2.0 * math.pi),
)  # here, since graphs compute with numbers in float32


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    check_reduction(reduction)
    real(loss)
    if reduction == "none":
        return loss
    x = single(loss)
    return (total(x) if reduction == "sum" else _mean(x, None, False)).astype(loss.dtype)


def _positive(x: Tensor) -> Tensor:
    """max(x, 0), where NaN stays NaN and the gradient at 0 is 1."""
    return ops.where(x < 0, ops.zeros_like(x), x)


def _log(x: Tensor) -> Tensor:
    return ops.log(fine(x)).astype(x.dtype)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(input - target)^2 in the inputs' dtype: MindSpore's computes in float32."""
    difference = input - target
    return _reduced(difference * difference, reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """|input - target| in the inputs' dtype: MindSpore's computes in float32."""
    return _reduced(ops.abs(input - target), reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Squares up to ``delta``, absolute values above, times delta; in the inputs' dtype."""
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be above 0; received {delta}.")
    distance, edge = ops.abs(input - target), number(delta, input)
    return _reduced(ops.where(distance < edge, distance * distance * 0.5, (distance - edge * 0.5) * edge), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """Squares below ``beta``, absolute values above."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must be at least 0; received {beta}.")
    distance = ops.abs(input - target)
    if beta == 0.0:
        return _reduced(distance, reduction)
    edge = number(beta, input)
    return _reduced(ops.where(distance < edge, distance * distance * 0.5 / edge, distance - edge * 0.5), reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Cross entropy of probabilities; logarithms are at least -100, and the gradient's denominator x (1 - x) is at
    least 1e-12.

    In a graph a probability outside [0, 1] is not refused, and gives NaN.
    """
    check_shape("binary_cross_entropy", "the target", target, input.shape)
    check_values("binary_cross_entropy", input, 0.0, 1.0)
    x = fine(input)
    edge = x * (1.0 - x) < 1e-12
    inside, fixed = ops.where(edge, ops.full_like(x, 0.5), x), ops.stop_gradient(x)
    yes, no, floor = log(fixed), log1p(-fixed), ops.full_like(x, -100.0)
    yes, no = ops.where(yes < -100.0, floor, yes), ops.where(no < -100.0, floor, no)
    slope = ops.stop_gradient((target - fixed) * 1e12)  # times 0, so that it is the gradient alone
    at_edge = target * yes + (1.0 - target) * no + slope * (x - fixed)
    loss = -ops.where(edge, at_edge, target * log(inside) + (1.0 - target) * log1p(-inside)).astype(input.dtype)
    if weight is not None:
        check_shape("binary_cross_entropy", "the target", target, broadcast_shape(weight.shape, target.shape))
    return _reduced(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Cross entropy of sigmoid(input), in any dtype."""
    check_shape("binary_cross_entropy_with_logits", "the target", target, input.shape)
    loss = _of_logits(input, target, pos_weight)
    return _reduced(loss if weight is None else loss * weight, reduction)


def _of_logits(input: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
    rare = softplus(-input, 1.0, 30.0)
    return (1.0 - target) * input + (rare if pos_weight is None else (1.0 + (pos_weight - 1.0) * target) * rare)


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target (log target - input), 0 where target is 0."""
    if log_target:
        loss = ops.exp(fine(target)).astype(target.dtype) * (target - input)
    else:
        some = target != 0
        loss = ops.where(some, target * _log(ops.where(some, target, ops.ones_like(target))), target) - target * input
    check_reduction(reduction, "batchmean")
    if reduction == "batchmean":
        total = _reduced(loss, "sum")
        return total / input.shape[0] if input.ndim else total
    return _reduced(loss, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of softmax(input), of class indices or probabilities, with logarithms in float64 on the CPU, where
    the kernel is off by 1 % near probability 1 and loses NaN. In a graph a class that does not exist is not refused,
    and gives NaN."""
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1]; received {label_smoothing}.")
    check_reduction(reduction)
    axis = 0 if input.ndim == 1 else 1
    if weight is not None:
        check_shape("cross_entropy", "the weight", weight, (input.shape[axis],))
    logarithms, share = log_softmax(input, axis), number(label_smoothing, input)
    classes = input.shape[axis]
    if target.is_floating_point():
        check_shape("cross_entropy", "a target of probabilities", target, input.shape)
        wanted = target if label_smoothing == 0.0 else target * (1.0 - share) + share / classes
        losses = -total(wanted * _weighed(logarithms, weight, axis), axis)
        return _reduced(losses, "sum") / _larger(losses.size, 1) if reduction == "mean" else _reduced(losses, reduction)
    loss = nll_loss(logarithms, target, weight, ignore_index=ignore_index, reduction=reduction)
    if label_smoothing == 0.0:
        return loss
    scored = target != ignore_index
    even = -total(_weighed(logarithms, weight, axis), axis)
    even = ops.where(scored, even, ops.zeros_like(even))
    if reduction == "mean":
        shares = _shares(ops.where(scored, target, ops.zeros_like(target)), scored, weight, even)
        even = _reduced(even, "sum") / _reduced(shares, "sum")
    else:
        even = _reduced(even, reduction)
    return loss * (1.0 - share) + even * (share / classes)


def _weighed(logarithms: Tensor, weight: Tensor | None, axis: int) -> Tensor:
    if weight is None:
        return logarithms
    return logarithms * ops.reshape(weight, tuple([-1 if i == axis else 1 for i in range(logarithms.ndim)]))


def _shares(known: Tensor, scored: Tensor, weight: Tensor | None, like: Tensor) -> Tensor:
    """The weight of each label, 0 where it is not scored."""
    shares = ops.ones_like(like) if weight is None else ops.reshape(ops.gather(weight, known, 0), like.shape)
    return ops.where(scored, shares, ops.zeros_like(shares))


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-input[class]. In a graph a class that does not exist is not refused, and gives NaN."""
    check_shape("nll_loss", "the target", target, (*input.shape[:1], *input.shape[2:]) if input.ndim > 1 else ())
    if weight is not None:
        check_shape("nll_loss", "the weight", weight, input.shape[1:2] if input.ndim > 1 else input.shape)
    known, wrong = _classes("nll_loss", input, target, ignore_index)
    scored = target != ignore_index
    known, axis = ops.where(scored, known, ops.zeros_like(known)), 0 if input.ndim == 1 else 1
    picked = -ops.squeeze(ops.gather_elements(input, axis, ops.expand_dims(known, axis)), axis)
    shares = _shares(known, scored, weight, picked)
    losses = ops.where(scored, picked * shares, ops.zeros_like(picked))  # NaN elsewhere does not count
    if reduction == "mean":
        return _poisoned(_reduced(losses, "sum") / _reduced(shares, "sum"), wrong, reduction)
    return _poisoned(_reduced(losses, reduction), wrong, reduction)


def _classes(name: str, input: Tensor, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """The class indices, of which those that do not exist become 0, since the kernel reads what they point at; and
    which these are."""
    classes = input.shape[0] if input.ndim == 1 else input.shape[1]
    check_indices(name, target, 0, classes, ignore_index)
    wrong = ops.logical_and(ops.logical_or(target < 0, target >= classes), target != ignore_index)
    return ops.where(wrong, ops.zeros_like(target), target), wrong


def _poisoned(loss: Tensor, wrong: Tensor, reduction: str) -> Tensor:
    """NaN where a class does not exist."""
    check_reduction(reduction)
    nan = ops.full_like(loss, math.nan)
    return ops.where(wrong if reduction == "none" else wrong.any(), nan, loss)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """1 - cos where target is 1, and what cos exceeds ``margin`` by where it is -1."""
    if target.ndim > 1 or input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise ValueError(
            "cosine_embedding_loss: the inputs must have one axis more than the target, which has at most one; received "
            f"{input1.shape}, {input2.shape} and {target.shape}."
        )
    tiny = number(1e-12, input1)
    first, second = (input1 * input1).sum(-1) + tiny, (input2 * input2).sum(-1) + tiny
    cosine = (input1 * input2).sum(-1) / ops.sqrt(first * second)
    zero = ops.zeros_like(cosine)
    return _reduced(
        ops.where(target == 1, 1.0 - cosine, zero)
        + ops.where(target == -1, _positive(cosine - number(margin, cosine)), zero),
        reduction,
    )


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """How far the wanted order is missed."""
    check_axes("margin_ranking_loss", input1, input2, target)
    return _reduced(_positive(target * (input2 - input1) + number(margin, input1)), reduction)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """input where target is 1, and what it lacks to ``margin`` where target is -1."""
    zero = ops.zeros_like(input)
    return _reduced(
        ops.where(target == 1, zero, _positive(number(margin, input) - input)) + ops.where(target == -1, zero, input),
        reduction,
    )


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """How much nearer the positive should be than the negative; ``swap`` lets the positive be the anchor where that is
    harder."""
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be above 0; received {margin}.")
    check_axes("triplet_margin_loss", anchor, positive, negative)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduced(_positive(pairwise_distance(anchor, positive, p, eps) - far + number(margin, far)), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target input))."""
    check_shape("soft_margin_loss", "the input", input, broadcast_shape(input.shape, target.shape))
    return _reduced(softplus(-target * input, 1.0, 30.0), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Mean over the other classes of how far they come within ``margin`` of the target's score."""
    classes = input.shape[-1]
    check_shape("multi_margin_loss", "the target", target, input.shape[:-1])
    if weight is not None:
        check_shape("multi_margin_loss", "the weight", weight, (classes,))
    check_indices("multi_margin_loss", target, 0, classes)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2; received {p}.")
    index = ops.expand_dims(target, -1)
    gap = number(margin, input) - ops.gather_elements(input, input.ndim - 1, index) + input
    gap = ops.where(gap > 0, gap, ops.zeros_like(gap))  # `_positive` has another gradient at 0
    gap = gap if p == 1 else gap * gap
    if weight is not None:
        gap = gap * ops.gather(weight, index, 0)
    return _reduced(ops.where(ops.arange(classes) == index, ops.zeros_like(gap), gap).sum(-1) / classes, reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Binary cross entropy of sigmoid(input), averaged over the last axis; in the inputs' dtype."""
    loss = _of_logits(input, target, None)
    loss = loss if weight is None else loss * weight
    return _reduced(total(loss, input.ndim - 1) / input.shape[-1], reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """-log of the normal density, the variance being at least ``eps``."""
    if not isinstance(var, Tensor):
        var = ops.full_like(input, var)
    elif var.shape == input.shape[:-1]:
        var = ops.expand_dims(var, -1)
    elif var.shape != input.shape:
        other = [b for a, b in zip(input.shape, var.shape) if a != b]  # noqa: B905  (graphs know no strict)
        if var.ndim != input.ndim or sum(other) != 1:
            raise ValueError(
                f"gaussian_nll_loss: the variances must have the input's shape {input.shape}, without its last axis or "
                f"with one axis of size 1; received {var.shape}."
            )
    check_values("gaussian_nll_loss", var, 0.0, float("inf"))
    var = var + ops.stop_gradient(_positive(number(eps, var) - var))
    loss = (_log(var) + (input - target) * (input - target) / var) * 0.5
    return _reduced(loss + number(_HALF_LOG_2PI, loss) if full else loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """-log of the Poisson probability, without the target's factorial unless ``full`` (Stirling)."""
    input, target = floating(input), floating(target)
    loss = (
        ops.exp(fine(input)).astype(input.dtype) - target * input
        if log_input
        else input - target * _log(input + number(eps, input))
    )
    if full:
        many = target > 1
        count = ops.where(many, target, ops.ones_like(target))
        loss = loss + ops.where(
            many, count * _log(count) - count + _log(count * number(_TWO_PI, count)) * 0.5, ops.zeros_like(target)
        )
    return _reduced(loss, reduction)
