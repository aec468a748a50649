"""Arithmetic of a short dtype at random, by which a computation shows how far rounding alone can move it.

Random rounding (Vignes, "A stochastic arithmetic for reliable scientific computation", 1993; Verrou's mode ``random``):
every result of every operator, forward, backward and in the optimizer, becomes one of the two neighbouring float32
numbers, each with probability 1/2. What float32 represents stays as it is, so that masks, indices and copies do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["RandomRounding"]


class RandomRounding(TorchDispatchMode):
    """While it is active, whatever operators write in float64 is rounded at random to float32's spacing.

    Args:
        seed: of the generator that chooses between the neighbours.

    Example:
        >>> with RandomRounding(seed=0):
        ...     third = torch.ones((), dtype=torch.float64) / 3
        >>> third.item() in (0.3333333134651184, 0.3333333432674408)
        True
    """

    def __init__(self, seed: int):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        for value in tree_leaves((result, _written(function, args, kwargs))):
            if isinstance(value, torch.Tensor) and value.dtype is torch.float64:
                self._round(value)
        return result

    def _round(self, x: torch.Tensor) -> None:
        nearest = x.float()
        error = x - nearest  # NaN where infinite: nothing to round
        inexact = (error != 0) & error.isfinite()
        if inexact.any():  # else it may be a view, one element of which stands at many places
            other = torch.nextafter(nearest, torch.where(error > 0, torch.inf, -torch.inf).float())
            heads = torch.rand(x.shape, generator=self.generator) < 0.5
            x.copy_(torch.where(inexact & heads, other, nearest))


def _written(function: Any, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
    """The arguments that the operator writes to."""
    found = []
    for position, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(args[position] if position < len(args) else kwargs.get(argument.name))
    return found
