"""``torch.distributions``: what variational autoencoders and policy gradients sample from and differentiate.

The formulas are evaluated as torch's own modules do, so that values and gradients agree also at the ends of the ranges.
Samples come from torch's generator (`common.porting.generator`): those of `Normal` and `Bernoulli` are torch's for the
same seed, and those of `Categorical` for more than one of each row; torch draws single ones with the exponential
numbers of a library. Arguments and values are checked where torch checks them, and not in a compiled function, which
does not know them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np

from mindspore_impl.torch_api import arange, full, random
from mindspore_impl.torch_api.autograd import no_grad
from mindspore_impl.torch_api.dtypes import Size, finfo
from mindspore_impl.torch_api.factories import get_default_dtype, tensor
from mindspore_impl.torch_api.lifting import missing
from mindspore_impl.torch_api.nn import functional as F
from mindspore_impl.torch_api.tensor import Tensor, tracing

__all__ = ["Bernoulli", "Categorical", "Distribution", "Independent", "Normal", "kl_divergence", "register_kl"]


class Distribution:
    """A batch of distributions, each of a sample of ``event_shape``.

    Raises:
        ValueError: a parameter is outside its range, if ``validate_args``.
    """

    has_rsample = has_enumerate_support = False
    #: parameters, with a name of their range and what is true inside it
    arg_constraints: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {}
    _validate_args = __debug__

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if not self._validate_args or tracing:
            return
        for name, (range_, inside) in self.arg_constraints.items():
            value = self.__dict__.get(name)
            if value is not None and not bool(inside(value.detach()).all()):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {range_}, but found invalid values:\n{value}"
                )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether arguments are checked unless it is said."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args takes True or False; received {value!r}.")
        Distribution._validate_args = value

    batch_shape = property(lambda self: self._batch_shape)
    event_shape = property(lambda self: self._event_shape)
    stddev = property(lambda self: self.variance.sqrt())

    def expand(self, batch_shape: Any) -> Any:
        """The same for a larger batch."""
        raise NotImplementedError(f"{type(self).__name__}.expand")

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A sample with a gradient for the parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no samples with a gradient (rsample).")

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A sample of the shape ``sample_shape + batch_shape + event_shape``, without gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density or probability of ``value``."""
        raise NotImplementedError(f"{type(self).__name__}.log_prob")

    def entropy(self) -> Tensor:
        """Entropy in nats, of ``batch_shape``."""
        raise NotImplementedError(f"{type(self).__name__}.entropy")

    def perplexity(self) -> Tensor:
        """exp(entropy)."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _supported(self, value: Tensor) -> tuple[str, Tensor]:
        """A name of the range of samples, and where ``value`` is inside it."""
        raise NotImplementedError(f"{type(self).__name__}: the range of samples")

    def _check(self, value: Any) -> None:
        """
        Raises:
            ValueError: ``value`` is no sample of this distribution.
        """
        if not self._validate_args:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        wanted, given = self._batch_shape + self._event_shape, value.shape
        if any(i not in (1, j) and j != 1 for i, j in zip(reversed(given), reversed(wanted), strict=False)):
            raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {given} vs {wanted}.")
        if tracing:
            return
        range_, inside = self._supported(value.detach())
        if not bool(inside.all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(given)}) to be within the support "
                f"({range_}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        shown = {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}
        texts = [f"{name}: {value if value.numel() == 1 else value.size()}" for name, value in shown.items()]
        return f"{type(self).__name__}({', '.join(texts)})"


def _broadcast(*values: Any) -> list[Tensor]:
    """Tensors of one shape; numbers take the dtype of the first tensor.

    Raises:
        ValueError: something is neither.
    """
    if not all(isinstance(value, (Tensor, int, float)) for value in values):
        raise ValueError("Input arguments must all be instances of Number or torch.Tensor.")
    kind = next((value.dtype for value in values if isinstance(value, Tensor)), get_default_dtype())
    made = [value if isinstance(value, Tensor) else tensor(value, dtype=kind) for value in values]
    shape = np.broadcast_shapes(*[tuple(value.shape) for value in made])
    return [value if tuple(value.shape) == shape else value.expand(shape) for value in made]


def _rightmost(value: Tensor, count: int) -> Tensor:
    """The sum over the last ``count`` axes."""
    return value.reshape((*value.shape[: value.ndim - count], -1)).sum(-1) if count else value


_REAL = ("Real()", lambda value: value == value)
_UNIT = ("Interval(lower_bound=0.0, upper_bound=1.0)", lambda value: (value >= 0) & (value <= 1))


class Normal(Distribution):
    """The normal distribution of the mean ``loc`` and the standard deviation ``scale``.

    Example:
        >>> posterior = Normal(torch.zeros(3), torch.ones(3))
        >>> z, divergence = posterior.rsample(), kl_divergence(posterior, Normal(0.0, 2.0)).sum()
    """

    has_rsample = True
    arg_constraints = {"loc": _REAL, "scale": ("GreaterThan(lower_bound=0.0)", lambda value: value > 0)}

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = _broadcast(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mean = property(lambda self: self.loc)
    mode = property(lambda self: self.loc)
    stddev = property(lambda self: self.scale)
    variance = property(lambda self: self.scale.pow(2))

    def expand(self, batch_shape: Any) -> Normal:
        made = Normal(self.loc.expand(batch_shape), self.scale.expand(batch_shape), False)
        made._validate_args = self._validate_args
        return made

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return random.randn(*shape, dtype=self.loc.dtype) * self.scale + self.loc

    def _supported(self, value: Tensor) -> tuple[str, Tensor]:
        return "Real()", value == value

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        var = self.scale**2
        return -((value - self.loc) ** 2) / (2 * var) - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of a smaller sample."""
        self._check(value)
        return 0.5 * (1 + ((value - self.loc) * self.scale.reciprocal() / math.sqrt(2)).erf())

    def icdf(self, value: Tensor) -> Tensor:
        """The sample that `cdf` gives ``value`` for."""
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()


class _Chances(Distribution):
    """A distribution of chances, or of logits, from which the others are computed when they are asked for."""

    has_enumerate_support = True

    def _one_of(self, probs: Any, logits: Any) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")

    def __getattr__(self, name: str) -> Any:
        if name not in ("probs", "logits"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        given = self.__dict__.get("logits" if name == "probs" else "probs")
        if given is None:
            raise AttributeError(name)
        found = self._probs_of(given) if name == "probs" else self._logits_of(given)
        if not tracing:  # a value of a trace is no other call's
            self.__dict__[name] = found
        return found

    def _probs_of(self, logits: Tensor) -> Tensor:
        raise NotImplementedError

    def _logits_of(self, probs: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def _param(self) -> Tensor:
        return self.__dict__[self.given]

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._param.shape

    def expand(self, batch_shape: Any) -> Any:
        shape = (*batch_shape, *self._param.shape[len(self._batch_shape) :])
        made = type(self).__new__(type(self))
        made.given = self.given
        made.__dict__[self.given] = self._param.expand(shape)
        Distribution.__init__(made, batch_shape, validate_args=False)
        made._validate_args = self._validate_args
        return made

    def _enumerated(self, count: int, kind: Any, expand: bool) -> Tensor:
        values = arange(count, dtype=kind).view(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values


def _inside(probs: Tensor) -> Tensor:
    """Chances at least as far from 0 and 1 as the dtype's numbers near 1 are apart."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


class Bernoulli(_Chances):
    """1 with the chance ``probs``, or sigmoid(``logits``), and else 0."""

    arg_constraints = {"probs": _UNIT, "logits": _REAL}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        self._one_of(probs, logits)
        self.given = "logits" if probs is None else "probs"
        (self.__dict__[self.given],) = _broadcast(logits if probs is None else probs)
        super().__init__(self._param.shape, validate_args=validate_args)

    def _probs_of(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def _logits_of(self, probs: Tensor) -> Tensor:
        inside = _inside(probs)
        return inside.log() - (-inside).log1p()

    mean = property(lambda self: self.probs)
    variance = property(lambda self: self.probs * (1 - self.probs))

    @property
    def mode(self) -> Tensor:
        """The likelier value, NaN where both are as likely."""
        return (self.probs >= 0.5).to(self.probs).masked_fill(self.probs == 0.5, math.nan)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return random.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def _supported(self, value: Tensor) -> tuple[str, Tensor]:
        return "Boolean()", (value == 0) | (value == 1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        logits, value = _broadcast(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1."""
        return self._enumerated(2, self._param.dtype, expand)


class Categorical(_Chances):
    """One of the classes 0, 1, ..., with chances in proportion to ``probs`` or exp(``logits``) along the last axis.

    Example:
        >>> policy = Categorical(logits=network(state))
        >>> action = policy.sample()
        >>> loss = -(policy.log_prob(action) * reward).mean() - 0.01 * policy.entropy().mean()
    """

    arg_constraints = {
        "probs": ("Simplex()", lambda p: (p >= 0).all(-1) & ((p.sum(-1) - 1).abs() < 1e-6)),
        "logits": ("IndependentConstraint(Real(), 1)", lambda value: value == value),
    }

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        self._one_of(probs, logits)
        self.given = "logits" if probs is None else "probs"
        held = logits if probs is None else probs
        if held.dim() < 1:
            raise ValueError(f"`{self.given}` parameter must be at least one-dimensional.")
        shift = held.logsumexp(-1, keepdim=True) if probs is None else None
        self.__dict__[self.given] = held / held.sum(-1, keepdim=True) if shift is None else held - shift
        super().__init__(held.shape[:-1], validate_args=validate_args)

    def _probs_of(self, logits: Tensor) -> Tensor:
        return F.softmax(logits, -1)

    def _logits_of(self, probs: Tensor) -> Tensor:
        return _inside(probs).log()

    @property
    def _num_events(self) -> int:
        return self._param.shape[-1]

    mean = property(lambda self: full(self._extended_shape(), math.nan, dtype=self._param.dtype))
    variance = property(lambda self: full(self._extended_shape(), math.nan, dtype=self._param.dtype))
    mode = property(lambda self: self.probs.argmax(-1))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        random.outside_graphs("Categorical.sample")
        probs = self.probs.detach().numpy().reshape(-1, self._num_events)
        return Tensor(ms.Tensor(_drawn(probs, Size(sample_shape).numel()))).reshape(self._extended_shape(sample_shape))

    def _supported(self, value: Tensor) -> tuple[str, Tensor]:
        last = self._num_events - 1
        inside = (value % 1 == 0) & (value >= 0) & (value <= last)
        return f"IntegerInterval(lower_bound=0, upper_bound={last})", inside

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        shape = np.broadcast_shapes(tuple(value.shape), tuple(self.logits.shape[:-1]))
        index = value.long().expand(shape).unsqueeze(-1)
        return self.logits.expand(*shape, self._num_events).gather(-1, index).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Every class."""
        return self._enumerated(self._num_events, tensor(0).dtype, expand)


def _drawn(probs: np.ndarray, count: int) -> np.ndarray:
    """``(count, rows)`` classes, int64: the first whose chances reach a uniform number, as torch's kernel finds it.

    Raises:
        RuntimeError: a row has no chances.
    """
    if not np.isfinite(probs).all() or (probs < 0).any() or (probs.sum(-1) <= 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    reached = np.cumsum(probs, -1, dtype=probs.dtype)
    reached /= reached[:, -1:]
    reached[:, -1] = 1
    uniform = random.default_generator.uniform(len(probs) * count, double=True).reshape(len(probs), count)
    return np.array([np.searchsorted(row, numbers) for row, numbers in zip(reached, uniform, strict=True)]).T.copy()


class Independent(Distribution):
    """A distribution whose last ``reinterpreted_batch_ndims`` axes of the batch are axes of a sample."""

    def __init__(self, base_distribution: Any, reinterpreted_batch_ndims: int, validate_args: bool | None = None):
        batch, event = base_distribution.batch_shape, base_distribution.event_shape
        if reinterpreted_batch_ndims > len(batch):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                f"{reinterpreted_batch_ndims} vs {len(batch)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        kept = len(batch) - reinterpreted_batch_ndims
        super().__init__(batch[:kept], batch[kept:] + event, validate_args)

    has_rsample = property(lambda self: self.base_dist.has_rsample)  # type: ignore[assignment]
    mean = property(lambda self: self.base_dist.mean)
    mode = property(lambda self: self.base_dist.mode)
    variance = property(lambda self: self.base_dist.variance)

    def expand(self, batch_shape: Any) -> Independent:
        wider = self.base_dist.expand((*batch_shape, *self._event_shape[: self.reinterpreted_batch_ndims]))
        return Independent(wider, self.reinterpreted_batch_ndims, self._validate_args)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return _rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return _rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


_DIVERGENCES: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """Decorate the function that computes the divergence of two kinds."""

    def keep(function: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
        _DIVERGENCES[type_p, type_q] = function
        return function

    return keep


def kl_divergence(p: Any, q: Any) -> Tensor:
    """KL(p || q) in nats, of ``batch_shape``.

    Raises:
        NotImplementedError: no formula for two of these kinds is known.
    """
    for one in type(p).__mro__:
        for two in type(q).__mro__:
            if (one, two) in _DIVERGENCES:
                return _DIVERGENCES[one, two](p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
    )


@register_kl(Normal, Normal)
def _of_normals(p: Normal, q: Normal) -> Tensor:
    ratio, shift = (p.scale / q.scale).pow(2), ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + shift - 1 - ratio.log())


@register_kl(Bernoulli, Bernoulli)
def _of_bernoullis(p: Bernoulli, q: Bernoulli) -> Tensor:
    one = p.probs * (F.softplus(-q.logits) - F.softplus(-p.logits))
    one = one.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0.0)
    none = (1 - p.probs) * (F.softplus(q.logits) - F.softplus(p.logits))
    return one + none.masked_fill(q.probs == 1, math.inf).masked_fill(p.probs == 1, 0.0)


@register_kl(Categorical, Categorical)
def _of_categoricals(p: Categorical, q: Categorical) -> Tensor:
    found = p.probs * (p.logits - q.logits)
    found = found.masked_fill((q.probs == 0).expand_as(found), math.inf)
    return found.masked_fill((p.probs == 0).expand_as(found), 0.0).sum(-1)


@register_kl(Independent, Independent)
def _of_independents(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL(p || q) of Independent needs the same reinterpreted_batch_ndims of both.")
    return _rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.distributions.{name}")
