"""Random tensors. The generators differ from torch's, the distributions do not."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl.shims.checks import axis_of, check_probabilities, check_values
from mindspore_impl.shims.softmax import softmax

__all__ = ["gumbel_softmax", "multinomial", "normal", "poisson", "randint", "randint_like"]


def _check_floating(name: str, input: Tensor) -> None:
    if not input.is_floating_point():
        raise TypeError(f"{name}: a floating point dtype is needed; received {input.dtype}.")


def multinomial(input: Tensor, num_samples: int, replacement: bool = False) -> Tensor:
    """Without replacement by default; int64. In a graph weights of no distribution are not refused, and what is sampled
    means nothing."""
    _check_floating("multinomial", input)
    check_probabilities(input, num_samples, replacement)
    return ops.multinomial(input, num_samples, replacement).astype(ms.int64)


def gumbel_softmax(logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """softmax((logits + Gumbel noise) / tau) over ``dim`` (Jang et al. 2017); ``hard`` gives the largest as one-hot, with
    the gradient of the soft one. ``eps`` changes nothing, as in torch."""
    _check_floating("gumbel_softmax", logits)
    uniform = ops.uniform(logits.shape, Tensor(0.0, ms.float32), Tensor(1.0, ms.float32))
    noise = -ops.log(-ops.log(uniform))
    soft = softmax((logits + noise.astype(logits.dtype)) / tau, dim)
    if not hard:
        return soft
    axis = axis_of("gumbel_softmax", logits.ndim, dim)
    one, zero = Tensor(1, logits.dtype), Tensor(0, logits.dtype)
    chosen = ops.one_hot(soft.argmax(axis=axis), logits.shape[axis], one, zero, axis)
    return ops.stop_gradient(chosen - soft) + soft


def normal(mean=0.0, std=1.0, size=None, *, dtype=None) -> Tensor:
    """Means and deviations as numbers or tensors. In a graph negative deviations in a tensor are not refused, and count
    as positive."""
    check_values("normal", std, 0.0, float("inf"))
    shape = tuple(size) if size is not None else mean.shape if isinstance(mean, Tensor) else std.shape
    found = ops.standard_normal(shape) * std + mean
    return found if dtype is None else found.astype(dtype)


def poisson(input: Tensor) -> Tensor:
    """One draw for each rate. In a graph negative rates are not refused, and what is sampled means nothing."""
    _check_floating("poisson", input)
    check_values("poisson", input, 0.0, float("inf"))
    return ops.random_poisson(Tensor([1], ms.int32), input, dtype=ms.float32)[0].astype(input.dtype)


def _bounds(low, high):
    low, high = (0, low) if high is None else (low, high)
    if low >= high:
        raise ValueError(f"randint: low must be below high; received {low} and {high}.")
    return low, high


def randint(low, high=None, size=None, *, dtype=None) -> Tensor:
    """randint(high, size) or randint(low, high, size); int64."""
    if size is None:
        size, high = high, None
    low, high = _bounds(low, high)
    return ops.randint(low, high, tuple(size)).astype(ms.int64 if dtype is None else dtype)


def randint_like(input: Tensor, low, high=None, *, dtype=None) -> Tensor:
    """The shape of ``input``, and its dtype unless one is given."""
    low, high = _bounds(low, high)
    return ops.randint(low, high, input.shape).astype(input.dtype if dtype is None else dtype)
