"""Integers in the place of a weight, see `common.models.layers.scaled_integers`.

With the integers Q ``(out, in)`` and their scales s ``(out,)``:

    W = s Q,                        y = W x + b                 where activations are not quantised
    x_q = round(x / s_x),           y = (Q x_q) s_x s + b       where they are; s_x = max|x| / 127 of a token, or stored
 Sums of integers are exact: float32 products add few enough columns that no sum exceeds 2^24, and further columns are
 added
as int32. The gradient passes the rounding of x as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.quantisation.integers import columns_exact, largest, packed
from pytorch_impl.layers.frozen import Frozen, computed_in
from pytorch_impl.layers.modules import product

__all__ = ["ScaledIntegers", "build"]


class ScaledIntegers(Frozen):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``."""

    def __init__(self, module: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(module, edit, values)
        before, arguments = edit.module, edit.arguments
        self.columns = before.out_features if before.kind.lookup else before.in_features
        self.packed, self.activations = packed(arguments.bits), arguments.activations
        self.largest = float(largest(arguments.activation_bits))
        self.exact = columns_exact(arguments.activation_bits, arguments.bits)

    def integers(self, stored: torch.Tensor) -> torch.Tensor:
        """Stored rows as integers ``(..., columns)``, in the dtype of the scales."""
        if not self.packed:
            return stored.to(self.scale.dtype)
        pairs = torch.stack((stored >> 4, stored & 15), -1).flatten(-2)
        return pairs[..., : self.columns].to(self.scale.dtype) - 8

    def weight(self, after: torch.Tensor) -> torch.Tensor:
        """s Q."""
        return self.integers(self.codes) * self.scale[:, None]

    def looked_up(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of ``ids``, times their scales."""
        return self.integers(self.codes[ids]) * self.scale[ids][..., None]

    def multiplied(self, rows: torch.Tensor) -> torch.Tensor:
        """With ``(tokens, in)`` quantised where that is asked for."""
        if self.activations == "none":
            return super().multiplied(rows)
        dtype = computed_in(rows)
        with torch.autocast(rows.device.type, enabled=False):
            codes, scale = self.quantised(rows.to(self.scale.dtype))
            return (self.sums(codes) * scale * self.scale).to(dtype)

    def quantised(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Integers of ``(tokens, in)`` in its dtype, and the scale ``(tokens, 1)`` or ``(1,)``. NaN and infinity become
        NaN."""
        if self.activations == "tensor":
            codes = torch.round(rows / self.input_scale).clamp(-self.largest, self.largest)
            return codes + (rows - rows), self.input_scale
        scale = rows.abs().amax(-1, keepdim=True) / self.largest
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        return torch.round(rows / scale), scale

    def sums(self, codes: torch.Tensor) -> torch.Tensor:
        """Q x_q, ``(tokens, out)``."""
        weight = self.integers(self.codes)
        if codes.shape[1] <= self.exact:
            return product(codes, weight)
        pairs = zip(codes.split(self.exact, 1), weight.split(self.exact, 1), strict=True)
        parts = [product(some.contiguous(), matrix.contiguous()) for some, matrix in pairs]
        total, whole = torch.zeros_like(parts[0], dtype=torch.int32), torch.zeros_like(parts[0])
        for part in parts:
            total = total + part.to(torch.int32)
            whole = whole + (part - part)  # NaN, which no integer holds
        return total.to(codes.dtype) + whole


build = ScaledIntegers
