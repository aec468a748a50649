"""The update of a convolution's weight as a product of two matrices, in the form of loralib."""

from __future__ import annotations

import math

from common.errors import InputError
from common.models.modules import ModuleSpec

__all__ = ["largest_rank", "refuse_dropout", "window_sizes"]


def window_sizes(module: ModuleSpec, rank: int) -> tuple[int, int, int]:
    """Rows, columns and inner width of B A, whose entries in order are those of the update of a convolution's weight.

    As in loralib: with a kernel (k, l) B is ``(out / groups * k, rank * k)`` and A ``(rank * k, in * l)``. A kernel of
    one dimension l counts as (1, l); there loralib's own sizes do not fit the weight.
    """
    kernel, groups = module.arguments.kernel, module.arguments.groups
    first = kernel[0] if len(kernel) > 1 else 1
    return module.out_features // groups * first, module.in_features * math.prod(kernel) // first, rank * first


def largest_rank(module: ModuleSpec) -> int:
    """Above it the product is no smaller than the weight."""
    rows, columns, inner = window_sizes(module, 1)
    return min(rows, columns) // inner


def refuse_dropout(module: ModuleSpec, dropout: float) -> None:
    """Raises InputError where there is dropout, which an update of the weight has no input for."""
    if dropout:
        raise InputError(
            f"LoRA of a convolution changes its weight and has no dropout, as in loralib; {module.path} is one and "
            f"dropout is {dropout}. Set dropout to 0, or leave it out of the targets."
        )
