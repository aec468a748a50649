"""Mirrors pytorch_impl.layers.loss; differs: shapes are fixed in a graph, so that positions without a target are
computed and left out of the sum, and the hand-written gradient is for a frozen W and b. Like `fused` it is only for
steps that are compiled together with their gradient, or not at all.
"""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, nn, ops

from mindspore_impl import functional as F
from mindspore_impl.fused import spread
from mindspore_impl.shims.pointwise import log as _log

__all__ = ["PIECE", "token_loss_sum", "token_scores"]

PIECE = 2**24  #: logits that exist at once, 64 MiB in float32
_logits = ops.MatMul(transpose_b=True)
_mix = ops.MatMul()
_bias_add = ops.BiasAdd()
_zeros = ops.ZerosLike()
_sum, _max = ops.ReduceSum(keep_dims=True), ops.ReduceMax(keep_dims=True)


class _TokenLoss(nn.Cell):
    """Loss and gradient together; the backward pass multiplies."""

    def construct(self, hidden, weight, labels):
        return _pieces(hidden, weight, labels, None)

    def bprop(self, hidden, weight, labels, out, dout):
        return out[1] * dout[0], _zeros(weight), _zeros(labels)


class _BiasedTokenLoss(nn.Cell):
    """The same with a frozen bias."""

    def construct(self, hidden, weight, labels, bias):
        return _pieces(hidden, weight, labels, bias)

    def bprop(self, hidden, weight, labels, bias, out, dout):
        return out[1] * dout[0], _zeros(weight), _zeros(labels), _zeros(bias)


_token_loss, _biased_token_loss = _TokenLoss(), _BiasedTokenLoss()


def token_loss_sum(
    hidden: Tensor, weight: Tensor, labels: Tensor, differentiable: bool = True, bias: Tensor | None = None
) -> Tensor:
    """Sum of the cross-entropy over the scored labels, in float32. Not ``differentiable`` is the plain way, through
    which autograd finds every gradient."""
    if differentiable and bias is None:
        return _token_loss(hidden, weight, labels)[0]
    if differentiable:
        return _biased_token_loss(hidden, weight, labels, bias)[0]
    piece = max(1, PIECE // weight.shape[0])
    total = ops.zeros((), ms.float32)
    for start in range(0, hidden.shape[0], piece):
        stop = min(start + piece, hidden.shape[0])
        total = total + F.cross_entropy_sum(_of_vocabulary(hidden[start:stop], weight, bias), labels[start:stop])
    return total


def token_scores(hidden: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sum of the cross-entropy, and which labels ``(tokens,)`` the largest logit meets, as 0 or 1; without a
    gradient."""
    piece = max(1, PIECE // weight.shape[0])
    total, right = ops.zeros((), ms.float32), ()
    for start in range(0, hidden.shape[0], piece):
        stop = min(start + piece, hidden.shape[0])
        logits, targets = _of_vocabulary(hidden[start:stop], weight, bias), labels[start:stop]
        total = total + F.cross_entropy_sum(logits, targets)
        right = (*right, (ops.argmax(logits, 1).astype(ms.int32) == targets).astype(ms.float32))
    return total, ops.concat(right, 0) if len(right) > 1 else right[0]


def _of_vocabulary(states, weight, bias):
    logits = _logits(states, weight)
    return logits if bias is None else _bias_add(logits, bias)


def _pieces(hidden, weight, labels, bias):
    """Loss, and its gradient by ``hidden``."""
    rows = hidden.shape[0]
    piece = max(1, PIECE // weight.shape[0])
    total, gradients = ops.zeros((), ms.float32), ()
    for start in range(0, rows, piece):
        stop = min(start + piece, rows)
        loss, gradient = _piece(hidden[start:stop], weight, labels[start:stop], bias)
        total = total + loss
        gradients = (*gradients, gradient)
    return total, ops.concat(gradients, 0) if len(gradients) > 1 else gradients[0]


def _piece(states, weight, labels, bias):
    """Loss of some positions, and its gradient by their states."""
    logits = _of_vocabulary(states, weight, bias)
    lifted = logits - spread(_max(logits, 1), logits.shape[1])
    powers = ops.exp(lifted)
    sums = _sum(powers, 1)  # (piece, 1)
    scored = (labels >= 0).astype(ms.float32)
    targets = labels * (labels >= 0).astype(
        labels.dtype
    )  # ops.zeros_like here leaves the gradient without its own function of that name
    of_label = ops.gather_elements(lifted, 1, ops.reshape(targets, (-1, 1)))
    loss = (ops.reshape(_log(sums) - of_label, (-1,)) * scored).sum()
    width = weight.shape[1]
    gradient = (_mix(powers, weight) / spread(sums, width) - ops.gather(weight, targets, 0)) * spread(
        ops.reshape(scored, (-1, 1)), width
    )
    return loss, gradient
