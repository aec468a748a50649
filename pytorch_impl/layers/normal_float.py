"""NF4 in the place of a weight, see `common.models.layers.normal_float`.

With the code book c, the indices i of the numbers, and the scale of each block of 64:

    W = c[i] * scale,       scale = m[a] * above + offset       with the map m of 256 numbers, where scales are
    quantised too
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn.functional import embedding, pad

from common.edits import Edit
from common.models.layers.normal_float import shape_of
from common.quantisation.normal_floats import BLOCK, NESTED, QUANTILES, dynamic_map
from pytorch_impl.layers.frozen import Frozen

__all__ = ["NormalFloat", "build"]


class NormalFloat(Frozen):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``."""

    def __init__(self, module: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(module, edit, values)
        self.shape, self.double = shape_of(edit.module), edit.arguments.double
        device = self.codes.device
        book = np.stack([np.repeat(QUANTILES, len(QUANTILES)), np.tile(QUANTILES, len(QUANTILES))], 1)  # of a byte
        self.register_buffer("book", torch.from_numpy(book).to(device), persistent=False)
        self.register_buffer("map", torch.from_numpy(dynamic_map()[:, None].copy()).to(device), persistent=False)

    def scales(self) -> torch.Tensor:
        """Of every block, ``(blocks,)``."""
        if not self.double:
            return self.absmax
        above = self.absmax_scale.repeat_interleave(NESTED)[: len(self.absmax)]
        return embedding(self.absmax.int(), self.map)[:, 0] * above + self.offset

    def weight(self, after: torch.Tensor) -> torch.Tensor:
        """W in the layout of `common.models.layers.normal_float.shape_of`."""
        rows, columns = self.shape
        numbers = embedding(self.codes.int(), self.book).reshape(-1)[: rows * columns]
        blocks = pad(numbers, (0, -len(numbers) % BLOCK)).view(-1, BLOCK) * self.scales()[:, None]
        return blocks.view(-1)[: rows * columns].view(rows, columns)

    def looked_up(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of ``ids``, of whole blocks."""
        rows, width = self.shape
        codes = self.codes.view(rows, width // 2)[ids]
        scales = self.scales().view(rows, width // BLOCK)[ids]
        numbers = embedding(codes.int(), self.book).reshape(*ids.shape, width // BLOCK, BLOCK)
        return (numbers * scales[..., None]).reshape(*ids.shape, width)


build = NormalFloat
