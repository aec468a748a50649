"""Arithmetic of float32 at random, by which a computation shows how far rounding alone can move it.

Monte Carlo arithmetic (Parker, "Monte Carlo Arithmetic: exploiting randomness in floating-point arithmetic", 1997), for
float32 within float64: every result of every operator, forward, backward and in the optimizer, becomes one of the two
neighbouring float32 numbers, the nearer one more often, so that the mean is the result. What float32 represents stays
as it is, and with it masks, indices and copies. Operators that torch composes of others round in each of these; sums
and products of matrices round within as well.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["RandomRounding"]

_HALF = 2.0**-24  #: half a spacing of float32, relative to the number
_PRODUCTS = frozenset({"addmm", "addmv", "baddbmm", "bmm", "dot", "mm", "mv"})
_CONVOLUTIONS = frozenset({"convolution", "convolution_backward"})
_SUMS = frozenset({"linalg_vector_norm", "mean", "sum", "var", "var_mean"})
_FUSED = "scaled_dot_product"  #: of its forward pass alone torch has a composition


class RandomRounding(TorchDispatchMode):
    """While it is active, whatever operators compute in float64 on the CPU is rounded at random as float32 is.

    Args:
        seed: of the generator that chooses.

    Example:
        >>> with RandomRounding(seed=0):
        ...     third = torch.ones((), dtype=torch.float64) / 3
        >>> third.item() in (0.3333333134651184, 0.3333333432674408)
        True
    """

    def __init__(self, seed: int):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)
        self.compositions = torch.export.default_decompositions()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, kwargs = function._schema.name.removeprefix("aten::"), kwargs or {}
        if function in self.compositions and _FUSED not in name:
            with self:
                return self.compositions[function](*args, **kwargs)
        result = function(*args, **kwargs)
        terms = _terms(name, args, result)
        if terms > 1:
            factors = 1 if name in _SUMS else 2
            result = function(*tree_map(lambda x: self._moved(x, terms / factors), args), **kwargs)
        for value in tree_leaves((result, _written(function, args, kwargs))):
            if _is_double(value):
                self._round(value)
        return result

    def _moved(self, x: Any, terms: float) -> Any:
        """What is summed, each moved by so much that the sum moves as that of ``terms`` numbers of either sign does,
        when they are added in order: n partial sums are rounded, which have sqrt(n / 2) times a term's size. Of products
        each factor is moved for half of them."""
        if not _is_double(x):
            return x
        noise = 2.0 * torch.rand(x.shape, generator=self.generator, dtype=torch.float64) - 1.0
        moved = x * (1.0 + _HALF * math.sqrt(terms / 2) * noise)
        return torch.where(moved.isfinite(), moved, x)  # the lowest number stands for what is masked

    def _round(self, x: torch.Tensor) -> None:
        nearest = x.float()
        error = x - nearest  # NaN where infinite: nothing to round
        inexact = (error != 0) & error.isfinite()
        if inexact.any():  # else it may be a view, one element of which stands at many places
            other = torch.nextafter(nearest, torch.where(error > 0, torch.inf, -torch.inf).float())
            chance = (error / (other.double() - nearest)).nan_to_num()  # of the farther neighbour
            farther = torch.rand(x.shape, generator=self.generator, dtype=torch.float64) < chance
            x.copy_(torch.where(farther & inexact, other, nearest))


def _is_double(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype is torch.float64


def _terms(name: str, args: tuple, result: Any) -> int:
    """How many numbers one number of the result sums; 1 where it is none or moves nothing."""
    given, made = ([x for x in tree_leaves(values) if _is_double(x)] for values in (args, result))
    if not given or not made or not made[0].numel():
        return 1
    if name in _PRODUCTS:
        return int(given[-2].shape[-1])
    if name in _CONVOLUTIONS:  # of the backward pass: output's gradient, input, weight
        return max(given[-1][0].numel() if name == "convolution_backward" else given[1][0].numel(), 1)
    return given[0].numel() // made[0].numel() if name in _SUMS else 1


def _written(function: Any, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
    """The arguments that the operator writes to."""
    arguments = enumerate(function._schema.arguments)
    return [
        args[position] if position < len(args) else kwargs.get(argument.name)
        for position, argument in arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
