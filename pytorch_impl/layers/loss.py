"""The loss over a vocabulary without its logits: cross-entropy of hidden W^T + b, in pieces, at the scored positions
alone.
 With h the hidden state of a position, W the head's weight ``(vocabulary, hidden)``, b its bias (none in most language
models) and y its label, loss = logsumexp(W h + b) - w_y h - b_y, and with p = softmax(W h + b)

    d loss / d h = p W - w_y,    d loss / d b = p - onehot(y).
 The gradient is formed together with the loss, piece by piece, so that neither logits nor their gradient ever exist for
more than a piece of the positions. A frozen W gets no gradient and costs none.
"""

from __future__ import annotations

import torch

from pytorch_impl.layers.modules import product

__all__ = ["PIECE", "token_loss_sum", "token_scores"]

PIECE = 2**24  #: logits that exist at once, 64 MiB in float32
KEPT = 2**23 - 2**12  #: of a block that the process keeps when it is freed, see `pytorch_impl.device.keep_freed_memory`
ROWS = 128  #: for which a product with the whole vocabulary is as fast as for more


def token_loss_sum(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    labels: torch.Tensor,
    differentiable: bool = True,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sum of the cross-entropy over the scored labels, in float32 at least.

    Args:
        hidden: ``(tokens, hidden)``.
        weight: ``(vocabulary, hidden)``.
        labels: ``(tokens,)`` integers; negative ones are not scored.
        differentiable: form the gradient as well; False where none will be asked for.
        bias: ``(vocabulary,)``.
    """
    return _TokenLoss.apply(hidden, weight, labels, differentiable, bias)


def token_scores(
    hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, bias: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the cross-entropy, and which labels ``(tokens,)`` the largest logit meets, as 0 or 1; without a
    gradient."""
    right = torch.zeros(len(labels), device=hidden.device)
    total = torch.zeros((), device=hidden.device, dtype=torch.promote_types(hidden.dtype, torch.float32))
    scored = (labels >= 0).nonzero().squeeze(1)
    for rows in scored.split(_piece(len(weight))):
        logits = torch.nn.functional.linear(hidden[rows], weight, bias).to(total.dtype)
        right[rows] = (logits.argmax(1) == labels[rows]).float()
        total += torch.nn.functional.cross_entropy(logits, labels[rows], reduction="sum")
    return total, right


def normalize_(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log sum exp ``(rows, 1)`` and softmax of ``(rows, columns)``, which is written over what was given: faster than
    torch.logsumexp, and more exact than torch.softmax in wide rows (docs/performance.md, Kernels).
    """
    largest = logits.amax(1, keepdim=True)
    norm = logits.sub_(largest).exp_().sum(1, keepdim=True)
    return largest + norm.log(), logits.div_(norm)


def _piece(words: int) -> int:
    """Rows of logits that exist at once."""
    rows = min(PIECE, KEPT) // words
    return rows if rows >= ROWS else max(1, PIECE // words)


def _room(count: int) -> int:
    """``count`` and up to a sixteenth more (or 15), so that few different numbers of rows are multiplied: oneDNN keeps
    memory for each of the last 1,024."""
    step = max(16, 1 << max(count.bit_length() - 5, 0))
    return -(-count // step) * step


class _TokenLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, labels, differentiable, bias):
        needed = ctx.needs_input_grad
        wanted = [differentiable and needed[argument] for argument in (0, 1, 4)]
        scored = (labels >= 0).nonzero().squeeze(1)
        total = torch.zeros((), device=hidden.device, dtype=torch.promote_types(hidden.dtype, torch.float32))
        grad_hidden = torch.zeros_like(hidden) if wanted[0] else None
        grad_weight = torch.zeros_like(weight) if wanted[1] else None
        grad_bias = torch.zeros_like(bias) if wanted[2] else None
        kind = hidden.device.type
        if torch.is_autocast_enabled(kind):  # cast once instead of for every piece
            weight = weight.to(torch.get_autocast_dtype(kind))
        piece = _piece(len(weight))
        for rows in scored.split(piece):
            states, targets = hidden[rows], labels[rows]
            padded = states.new_zeros(min(_room(len(rows)), piece), states.shape[1], dtype=weight.dtype)
            padded[: len(rows)] = states
            whole = product(padded, weight).to(total.dtype)  # (room, vocabulary)
            if bias is not None:
                whole += bias
            logits = whole[: len(rows)]
            chosen = logits.gather(1, targets[:, None])
            lse, shares = normalize_(logits)
            total += (lse - chosen).sum()
            if any(wanted):
                if wanted[0]:
                    expected = product(whole.to(weight.dtype), weight.T)[: len(rows)]  # `shares` and rows of zeros
                    grad_hidden[rows] = (expected - weight[targets]).to(hidden.dtype)
                if wanted[1] or wanted[2]:
                    shares.scatter_add_(1, targets[:, None], shares.new_full((len(rows), 1), -1.0))
                if wanted[2]:
                    grad_bias += shares.sum(0).to(grad_bias.dtype)
                if wanted[1]:
                    grad_weight += torch.mm(shares.to(states.dtype).T, states).to(grad_weight.dtype)
        gradients = (grad_hidden, grad_weight, grad_bias)
        ctx.save_for_backward(*(gradient for gradient in gradients if gradient is not None))
        ctx.wanted = wanted
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        kept = iter(ctx.saved_tensors)
        grad_hidden, grad_weight, grad_bias = (next(kept) * upstream if wanted else None for wanted in ctx.wanted)
        return grad_hidden, grad_weight, None, None, grad_bias
