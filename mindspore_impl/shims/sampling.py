"""Sampling at places, and the loss of alignments: the kernels with torch's arguments and checks."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from mindspore_impl.shims.checks import check_indices, check_reduction
from mindspore_impl.shims.decomposition import finite
from mindspore_impl.shims.reduction import total
from mindspore_impl.shims.shape import part

__all__ = ["affine_grid", "ctc_loss", "grid_sample"]


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """``input`` at the places of ``grid``, of which -1 and 1 are the borders; bilinear or nearest."""
    if mode not in ("bilinear", "nearest"):
        raise ValueError(f"grid_sample: mode must be bilinear or nearest; received {mode}.")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"grid_sample: padding_mode must be zeros, border or reflection; received {padding_mode}.")
    if input.ndim not in (4, 5) or grid.ndim != input.ndim or grid.shape[-1] != input.ndim - 2:
        raise ValueError(
            f"grid_sample: an image or a volume and its places are needed; received {input.shape}, {grid.shape}."
        )
    if input.dtype != grid.dtype or input.shape[0] != grid.shape[0]:
        raise ValueError("grid_sample: input and grid must have one dtype and one batch size.")
    if input.dtype != ms.float32:
        raise TypeError(
            f"grid_sample: MindSpore's kernel is accurate to float32; received {input.dtype}. Cast to float32."
        )
    if 0 in input.shape or 0 in grid.shape:
        raise ValueError(f"grid_sample: nothing cannot be sampled; received {input.shape}, {grid.shape}.")
    finite("grid_sample", input)
    finite("grid_sample", grid)
    input, grid, corners = input.contiguous(), grid.contiguous(), bool(align_corners)
    height, width = grid.shape[-3:-1]
    missing = _missing(height * width) if grid.ndim == 4 else 0
    if not missing:
        return ops.grid_sample(input, grid, mode, padding_mode, corners)
    row = ops.reshape(grid, (grid.shape[0], 1, height * width, 2))
    row = ops.concat((row, ops.zeros((grid.shape[0], 1, missing, 2), grid.dtype)), 2)
    found = part(ops.grid_sample(input, row, mode, padding_mode, corners), -1, 0, height * width)
    return ops.reshape(found, (*input.shape[:2], height, width))


def _missing(places: int) -> int:
    """How many places to add until more than four of the last eight are there. With fewer, the gradient of the CPU
    kernel, which takes eight at once, copies nothing and reports that as an error; the values are right."""
    left = places % 8
    return 5 - left if 1 <= left <= 4 else 0


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """Places of an affine map (N, 2, 3) or (N, 3, 4) for images or volumes of ``size``."""
    size = tuple(size)
    if len(size) not in (4, 5) or tuple(theta.shape) != (size[0], len(size) - 2, len(size) - 1) or min(size) < 1:
        raise ValueError(f"affine_grid: theta and size must fit; received {theta.shape} and {size}.")
    if theta.dtype not in (ms.float32, ms.float64):
        raise TypeError(f"affine_grid: float32 or float64 is needed; received {theta.dtype}.")
    return ops.matmul(_base(size[2:], theta.dtype, bool(align_corners)), ops.transpose(theta, (0, 2, 1))).reshape(
        (size[0], *size[2:], len(size) - 2)
    )


def _base(sizes: tuple[int, ...], dtype, corners: bool) -> Tensor:
    """Coordinates x, y(, z) and 1 of every element, (elements, axes + 1)."""
    return _coordinates(sizes, dtype == ms.float64, corners)


@ops.constexpr
def _coordinates(sizes: tuple[int, ...], double: bool, corners: bool) -> Tensor:
    axes = []
    for size in sizes:
        steps = np.linspace(-1.0, 1.0, size) if size > 1 else np.zeros(1)
        axes.append(steps if corners else steps * ((size - 1) / size))
    grids = np.meshgrid(*axes, indexing="ij")
    columns = [grid.reshape(-1) for grid in grids[::-1]] + [np.ones(grids[0].size)]
    return Tensor(np.stack(columns, -1).astype(np.float64 if double else np.float32))


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification (Graves et al. 2006) of ``(length, batch, classes)``; targets are padded,
    ``(batch, length)``."""
    check_reduction(reduction)
    if log_probs.ndim != 3 or targets.ndim != 2 or targets.shape[0] != log_probs.shape[1]:
        raise ValueError(
            "ctc_loss: log_probs (length, batch, classes) and targets (batch, length) are needed; received "
            f"{log_probs.shape} and {targets.shape}."
        )
    lengths = [_lengths(given) for given in (input_lengths, target_lengths)]
    check_indices("ctc_loss: input_lengths", lengths[0], 0, log_probs.shape[0] + 1)
    check_indices("ctc_loss: target_lengths", lengths[1], 0, targets.shape[1] + 1)
    check_indices("ctc_loss: targets", targets, 0, log_probs.shape[2])
    if not 0 <= blank < log_probs.shape[2]:
        raise ValueError(f"ctc_loss: blank must be in [0, {log_probs.shape[2]}); received {blank}.")
    loss = ops.ctc_loss(log_probs.contiguous(), targets.astype(ms.int64), *lengths, blank, "none", zero_infinity)[0]
    if zero_infinity:
        loss = ops.where(ops.isinf(loss), ops.zeros_like(loss), loss)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return total(loss)
    return (loss / ops.maximum(lengths[1], ops.ones_like(lengths[1])).astype(loss.dtype)).mean()


def _lengths(given: Any) -> Tensor:
    return given.astype(ms.int64) if isinstance(given, Tensor) else Tensor(list(given), ms.int64)
