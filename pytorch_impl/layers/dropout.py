"""Dropout whose masks are functions of counters (`common.dropout`)."""

from __future__ import annotations

import math
import struct

import torch
from torch import nn

from common.dropout import counters, limit, of_turn, step_key

__all__ = ["Dropout", "DropoutKey", "share_key"]


class DropoutKey:
    """The key of the step that is being computed, shared by every dropout of a model."""

    def __init__(self, device: str):
        self.value = torch.zeros((), dtype=torch.int32, device=device)

    def set(self, seed: int, step: int, micro_batch: int) -> None:
        """Begin a micro-batch."""
        self.value.fill_(step_key(seed, step, micro_batch))


class Mask:
    """The mask of one dropout at one step, for a table of rows: multiplies by 0 or by 1 / (1 - p). It is computed where
    it is applied and never kept."""

    def __init__(self, rows: torch.Tensor, columns: torch.Tensor, p: float):
        self._rows, self._columns, self._p = rows, columns, p

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """``x``, whose last axis is that of the columns, masked and scaled."""
        return self.factor(x).mul_(x)

    def factor(self, x: torch.Tensor) -> torch.Tensor:
        """What ``x`` is multiplied by: 0 or 1 / (1 - p)."""
        kept = (
            (self._rows[:, None] * self._columns).ge_(limit(self._p)).view(x.shape)
        )  # in place: booleans of four bytes
        scale = 1.0 / (1.0 - self._p)
        if x.dtype == torch.float32:
            return kept.mul_(struct.unpack("i", struct.pack("f", scale))[0]).view(
                torch.float32
            )  # the bits of the scale, instead of a conversion
        return kept.to(x.dtype).mul_(scale)

    def rows(self, part: slice, shape: tuple[int, ...]) -> Mask:
        """The mask of ``x[part]``, the first axes of ``x`` being ``shape[:-1]``."""
        each = math.prod(shape[1:-1])
        return Mask(self._rows[part.start * each : part.stop * each], self._columns, self._p)


class Dropout(nn.Module):
    """y = x m / (1 - p) while training, with the mask m of the module's path and of the key; x otherwise. ``(...,
    width)`` to the same.

    The mask is computed again in the backward pass: nothing of the size of x is kept for it.
    """

    def __init__(self, path: str, p: float):
        super().__init__()
        self.path, self.p = path, p
        self.key: DropoutKey | None = None
        self.turn = 0  # which use in one pass it is, where a module is used several times; its masks are independent
        self._counters: dict[tuple[str, int], torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The masked and scaled ``x``. Raises RuntimeError while training before `share_key`."""
        mask = self.mask(x.shape)
        return x if mask is None else _Masked.apply(x, mask)

    def mask(self, shape: tuple[int, ...]) -> Mask | None:
        """The mask of an input of ``shape``; None where nothing is dropped."""
        if not self.training or self.p == 0.0:
            return None
        if self.key is None:
            raise RuntimeError(
                f"The dropout {self.path} has no key yet. Train through an Engine, or call dropout.share_key(model) first."
            )
        return Mask(self._words("rows", math.prod(shape[:-1])), self._words("columns", shape[-1]), self.p)

    @torch.compiler.disable  # NumPy and a hash, which torch.compile cannot follow
    def _words(self, axis: str, count: int) -> torch.Tensor:
        known = self._counters.get((axis, self.turn))
        if known is None or len(known) < count:
            words = torch.from_numpy(counters(of_turn(self.path, self.turn), axis, count))
            known = self._counters[axis, self.turn] = words.to(self.key.value.device)
        return (known[:count] ^ self.key.value) | 1


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, mask):
        ctx.mask = mask
        return mask(x)

    @staticmethod
    def backward(ctx, gradient):
        return ctx.mask(gradient), None


def share_key(model: nn.Module, device: str) -> DropoutKey:
    """Give every dropout of ``model`` one key, and return it."""
    key = DropoutKey(device)
    for module in model.modules():
        if isinstance(module, Dropout):
            module.key = key
    return key
