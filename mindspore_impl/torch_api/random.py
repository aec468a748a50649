"""Random tensors: the numbers that torch's CPU generator gives for the same seed, made on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np

from common.api_mapping.names import named
from common.porting.generator import Generator
from mindspore_impl.mapping import bound
from mindspore_impl.torch_api.dtypes import dtype
from mindspore_impl.torch_api.factories import _sizes, get_default_dtype
from mindspore_impl.torch_api.lifting import renamed
from mindspore_impl.torch_api.tensor import Tensor, tracing

__all__ = [
    "default_generator",
    "fill",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "outside_graphs",
    "seed",
    "set_rng_state",
]

default_generator = Generator()


def manual_seed(value: int) -> Generator:
    """Start torch's and MindSpore's random numbers from a seed; dropout draws from MindSpore's."""
    ms.set_seed(int(value) % 2**31)
    return default_generator.manual_seed(value)


def seed() -> int:
    """Start from a seed that nobody knows."""
    chosen = default_generator.seed()
    ms.set_seed(chosen % 2**31)
    return chosen


def initial_seed() -> int:
    """The seed of the last `manual_seed`."""
    return default_generator.initial_seed()


def get_rng_state() -> tuple:
    """What `set_rng_state` continues from; MindSpore's own numbers, which dropout draws from, are not part of it."""
    return default_generator.get_state()


def set_rng_state(new_state: tuple) -> None:
    """Continue where `get_rng_state` was called."""
    default_generator.set_state(new_state)


def outside_graphs(name: str) -> None:
    """
    Raises:
        RuntimeError: a graph is being traced, of which the numbers would become constants.
    """
    if tracing:
        raise RuntimeError(
            f"{name} in a compiled function would give the same numbers in every call: draw them outside and pass them "
            "in, or use torch.nn.functional.dropout, which draws in the graph."
        )


def _drawn(draw: Callable[[Generator, int, bool], np.ndarray], shape: tuple[int, ...], kind: dtype, source: Any) -> Any:
    outside_graphs("A random tensor")
    array = draw(source or default_generator, int(np.prod(shape, dtype=np.int64)), kind.name == "float64")
    held = ms.Tensor(np.ascontiguousarray(array).reshape(shape))  # contiguous arrays have an axis at least
    return held if held.dtype == kind.ms else held.astype(kind.ms)


def _uniform(source: Generator, count: int, double: bool) -> np.ndarray:
    return source.uniform(count, double=double)


def _normal(source: Generator, count: int, double: bool) -> np.ndarray:
    return source.normal(count, double=double)


def _made(draw: Callable[..., np.ndarray], like: bool) -> Callable[..., Tensor]:
    def call(
        *size: Any, dtype: Any = None, requires_grad: bool = False, generator: Any = None, **keywords: Any
    ) -> Tensor:
        shape = tuple(size[0].shape) if like else _sizes(size, keywords)
        renamed(keywords)
        kind = dtype or (size[0].dtype if like else get_default_dtype())
        made = Tensor(_drawn(draw, shape, kind, generator))
        return made.requires_grad_() if requires_grad else made

    return call


rand, randn = _made(_uniform, False), _made(_normal, False)
rand_like, randn_like = _made(_uniform, True), _made(_normal, True)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    generator: Any = None,
    requires_grad: bool = False,
    **keywords: Any,
) -> Tensor:
    """randint(high, size) or randint(low, high, size); int64."""
    if size is None:
        low, high, size = 0, low, high
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    renamed(keywords)
    outside_graphs("randint")
    array = (generator or default_generator).integers(int(np.prod(size, dtype=np.int64)), int(low), int(high))
    made = Tensor(ms.Tensor(array.reshape(tuple(size))))
    return made if dtype is None else made.to(dtype)


def randint_like(input: Tensor, low: int, high: Any = None, **keywords: Any) -> Tensor:
    """The shape and dtype of ``input``."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, tuple(input.shape), **{"dtype": input.dtype, **keywords})


def randperm(
    n: int, *, generator: Any = None, dtype: Any = None, requires_grad: bool = False, **keywords: Any
) -> Tensor:
    """The numbers below ``n`` in random order."""
    renamed(keywords)
    outside_graphs("randperm")
    made = Tensor(ms.Tensor((generator or default_generator).permutation(n)))
    return made if dtype is None else made.to(dtype)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability ``input``, or ``p`` everywhere, and else 0."""
    outside_graphs("bernoulli")
    held = input.detach() if p is None else input.detach() * 0 + p
    if not bool(((held >= 0) & (held <= 1)).all()):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    drawn = (generator or default_generator).uniform(held.numel(), double=held.dtype.name == "float64")
    return Tensor(ms.Tensor(drawn.reshape(tuple(held.shape)))).lt(held).to(input.dtype)


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None, **keywords: Any
) -> Tensor:
    """Means and deviations as numbers or tensors."""
    renamed(keywords)
    if size is None:
        shapes = [tuple(value.shape) for value in (mean, std) if isinstance(value, Tensor)]
        size = np.broadcast_shapes(*shapes)
    if (not isinstance(std, Tensor) and std < 0) or (isinstance(std, Tensor) and bool((std < 0).any())):
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return randn(*size, generator=generator, dtype=dtype) * std + mean


def fill(tensor: Tensor, draw: Callable[[Generator, int, bool], np.ndarray], generator: Any = None) -> Tensor:
    """Write what ``draw`` gives into a tensor."""
    return tensor.write(_drawn(draw, tuple(tensor.shape), tensor.dtype, generator))


def _uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, generator: Any = None, **keywords: Any) -> Tensor:
    """Uniform in [from, to)."""
    low = keywords.get("from", keywords.get("a", from_))
    return fill(self, lambda source, count, double: source.uniform(count, low, to, double), generator)


def _normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Normal with a mean and a deviation."""
    return fill(self, lambda source, count, double: source.normal(count, mean, std, double), generator)


def _random_(self: Tensor, from_: int = 0, to: Any = None, *, generator: Any = None) -> Tensor:
    """Whole numbers in [from, to)."""
    if to is None:
        from_, to = (
            (0, from_)
            if from_
            else (
                0,
                2**53
                if self.dtype.name == "float64"
                else 2**24
                if self.dtype.is_floating_point
                else _largest(self) + 1,
            )
        )
    return fill(self, lambda source, count, double: source.integers(count, from_, to), generator)


def _largest(tensor: Tensor) -> int:
    return 1 if tensor.dtype.name == "bool" else int(np.iinfo(tensor.dtype.name).max)


def _bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """1 with probability ``p`` and else 0."""
    chance = p.detach().numpy() if isinstance(p, Tensor) else p
    shape = tuple(self.shape)
    return fill(
        self,
        lambda source, count, double: (source.uniform(count, double=True).reshape(shape) < chance).astype(np.float32),
        generator,
    )


def _exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Exponential with rate ``lambd``; the numbers are not torch's."""
    return fill(self, lambda source, count, double: -np.log1p(-source.uniform(count, double=True)) / lambd, generator)


for _name, _function in {
    "uniform_": _uniform_,
    "normal_": _normal_,
    "random_": _random_,
    "bernoulli_": _bernoulli_,
    "exponential_": _exponential_,
}.items():
    setattr(Tensor, _name, _function)


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Indices with the probabilities of each row; the numbers are not torch's, and come from MindSpore's seed."""
    outside_graphs("multinomial")
    return Tensor(bound(named("torch"))["multinomial"](input.raw, num_samples, replacement))


DRAWN = {
    name: globals()[name]
    for name in (
        "rand",
        "randn",
        "rand_like",
        "randn_like",
        "randint",
        "randint_like",
        "randperm",
        "bernoulli",
        "normal",
        "multinomial",
    )
}


def bind_random() -> None:
    """Give `Tensor` its random methods, in the place of the mapping's."""
    Tensor.multinomial, Tensor.bernoulli = multinomial, bernoulli  # type: ignore[attr-defined]
