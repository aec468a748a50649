"""A convolution as a chain of smaller ones: what is asked for, what is made, and how far it is from the kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.decomposition.cp import cp_factors, cp_size
from common.decomposition.tucker import tucker_factors, tucker_size
from common.errors import InputError

__all__ = ["METHODS", "Chain", "Convolution", "DecompositionOptions", "Stage", "decomposed", "obstacle"]


@dataclass(frozen=True)
class Convolution:
    """One of a network."""

    kernel: np.ndarray  #: (channels out, channels in a group, *window)
    groups: int
    obstacle: str = ""  #: why no chain can take its place: what it is or has, to follow its path


def obstacle(path: str, weight_at: Sequence[str], hooks: bool, plain: bool) -> str:
    """What `Convolution.obstacle` says; nothing where a chain can take the place of the one at ``path``.

    Args:
        weight_at: every name that the weight has in the network.
        hooks: whether calls of it run functions of the user's or of a library, such as a weight norm's.
        plain: whether its weight holds real numbers, channels first.
    """
    if not path:
        return "is a convolution itself, in whose place nothing can be put. Give the network that holds it."
    if len(weight_at) > 1:
        return f"shares its weight: it is {', '.join(weight_at)}. A chain would part them; leave them out."
    if hooks:
        return "has hooks (a weight norm is one too), which its chain would lose. Remove them first, or leave it out."
    return "" if plain else "has a complex weight, or its channels last, and is not decomposed. Leave it out."


@dataclass(frozen=True)
class Stage:
    """One convolution of a chain, without a bias."""

    kernel: np.ndarray  #: (channels out, channels in a group, *window), float64
    groups: int = 1


@dataclass(frozen=True)
class Chain:
    """What a kernel becomes."""

    stages: tuple[Stage, ...]
    error: float  #: relative, in the Frobenius norm
    before: int  #: numbers in the kernel
    ranks: tuple[int, ...]

    @property
    def after(self) -> int:
        """Numbers in the chain."""
        return sum(stage.kernel.size for stage in self.stages)

    def carries(self, number: int) -> tuple[bool, ...]:
        """For every axis whether a stage takes the stride, padding and dilation of the whole: the one with the window along
        it, or the first where the window is 1."""
        windows = [stage.kernel.shape[2:] for stage in self.stages]
        return tuple(
            size > 1 or (number == 0 and max(window[axis] for window in windows) == 1)
            for axis, size in enumerate(windows[number])
        )


@dataclass(frozen=True)
class DecompositionOptions:
    """One of ``ranks`` and ``share`` is given."""

    method: str  #: ``cp`` or ``tucker``
    ranks: tuple[int, ...] | None = None  #: of cp one; of tucker those of the outputs and of the inputs
    share: float | None = None  #: of a kernel, the numbers that its chain may hold

    def check(self) -> None:
        """Raise InputError for what does not fit."""
        if self.method not in METHODS:
            raise InputError(f"A decomposition is one of {', '.join(METHODS)}; received {self.method!r}.")
        if (self.ranks is None) == (self.share is None):
            received = "none of them" if self.ranks is None else "both"
            raise InputError(f"Give exactly one of ranks and share; received {received}.")
        count = METHODS[self.method].ranks
        if self.ranks is not None and not all(type(rank) is int for rank in self.ranks):
            raise InputError(f"ranks are a list of integers; received {list(self.ranks)!r}.")
        if self.ranks is not None and (len(self.ranks) != count or min(self.ranks) < 1):
            raise InputError(f"{self.method} has {count} positive ranks; received {list(self.ranks)}.")
        if self.share is not None and not 0 < self.share < 1:
            raise InputError(f"share must be greater than 0 and less than 1; received {self.share!r}.")


def _cp(kernel: np.ndarray, ranks: tuple[int, ...]) -> list[Stage]:
    """1 x 1 to R channels, each axis of the window channel by channel, 1 x 1 to the outputs (Lebedev et al. 2015)."""
    rank, axes = ranks[0], kernel.ndim - 2
    outputs, inputs, *windows = cp_factors(kernel, rank)
    one = (1,) * axes
    stages = [Stage(inputs.T.reshape(rank, -1, *one))]
    for axis, window in enumerate(windows):
        shape = [1] * axes
        shape[axis] = len(window)
        stages.append(Stage(window.T.reshape(rank, 1, *shape), rank))
    return [*stages, Stage(outputs.reshape(-1, rank, *one))]


def _tucker(kernel: np.ndarray, ranks: tuple[int, ...]) -> list[Stage]:
    """1 x 1 to fewer channels, the window among these, 1 x 1 to the outputs (Kim et al. 2016)."""
    outputs, inputs, core = tucker_factors(kernel, *ranks)
    one = (1,) * (kernel.ndim - 2)
    first, last = inputs.T.reshape(*inputs.T.shape, *one), outputs.reshape(*outputs.shape, *one)
    return [Stage(first), Stage(core), Stage(last)]


@dataclass(frozen=True)
class _Method:
    ranks: int  #: how many it has
    make: Callable[[np.ndarray, tuple[int, ...]], list[Stage]]
    size: Callable[
        [tuple[int, ...], tuple[int, ...]], int
    ]  #: numbers of a chain, from the kernel's shape and the ranks
    largest: Callable[[tuple[int, ...], float], tuple[int, ...] | None]  #: ranks of at most so many numbers


def _largest_cp(shape: tuple[int, ...], limit: float) -> tuple[int, ...] | None:
    rank = int(limit // cp_size(shape, (1,)))
    return (rank,) if rank else None


def _largest_tucker(shape: tuple[int, ...], limit: float) -> tuple[int, ...] | None:
    """In proportion to the channels."""
    outputs, inputs = shape[:2]
    steps = max(outputs, inputs)
    tried = [(max(1, outputs * step // steps), max(1, inputs * step // steps)) for step in range(1, steps + 1)]
    fitting = [ranks for ranks in tried if tucker_size(shape, ranks) <= limit]
    return fitting[-1] if fitting else None


METHODS = {"cp": _Method(1, _cp, cp_size, _largest_cp), "tucker": _Method(2, _tucker, tucker_size, _largest_tucker)}


def decomposed(path: str, kernel: np.ndarray, groups: int, options: DecompositionOptions) -> Chain:
    """The chain of a kernel ``(channels out, channels in a group, *window)``, in float64.

    Raises:
        InputError: the convolution has groups or numbers that are not finite, or no chain is smaller under these options.
    """
    method, exact = METHODS[options.method], kernel.astype(np.float64)
    named = f"{path} with a kernel {' x '.join(map(str, kernel.shape))}"
    if groups != 1:
        raise InputError(f"{named}: a convolution in {groups} groups is not decomposed. Leave it out of the targets.")
    if not np.isfinite(exact).all():
        raise InputError(
            f"{named} holds NaN or infinity, and has no decomposition. Load other weights, or leave it out."
        )
    ranks = options.ranks or method.largest(kernel.shape, (options.share or 0.0) * kernel.size)
    if ranks is None:
        raise InputError(f"{named}: a share of {options.share:g} leaves no rank. Give a larger one, or leave it out.")
    if options.method == "tucker":
        ranks = tuple(min(rank, size) for rank, size in zip(ranks, kernel.shape, strict=False))
    if method.size(kernel.shape, ranks) >= kernel.size:
        raise InputError(
            f"{named}: at ranks {list(ranks)} its chain holds {method.size(kernel.shape, ranks):,} numbers, no fewer than "
            "the kernel. Give smaller ones, or leave it out."
        )
    stages = tuple(method.make(exact, ranks))
    norm = float(np.linalg.norm(exact))
    lost = float(np.linalg.norm(multiplied(stages) - exact))
    return Chain(stages, lost / norm if norm else 0.0, kernel.size, ranks)


def multiplied(stages: tuple[Stage, ...]) -> np.ndarray:
    """The kernel that a chain computes with."""
    product: Any = None
    for stage in stages:
        kernel = stage.kernel
        if product is None:
            product = kernel
        elif stage.groups > 1:  # channel by channel; no axis has a window twice
            product = kernel * product
        else:
            product = np.einsum("ab...,bc...->ac...", kernel, product)
    return product
