"""Noise of the size of a quantisation that is learnt, see `common.quantisation.pseudo`.

training     W + r / (2^b - 1) n / 2,       b = least + (most - least) sigmoid(l)
evaluation   the weight, quantised with rounded b; its gradient passes the rounding
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from common.edits import Edit
from common.quantisation.pseudo import DRAWS, SPREAD, words
from pytorch_impl.layers.dropout import Dropout
from pytorch_impl.layers.fake_quantised import through
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["QuantisationNoise", "build"]


class QuantisationNoise(Wrapper):
    """A linear layer, a convolution or an embedding, in the shapes of the layer that it holds."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        shape = base_layer.weight.shape
        self.table = (shape[0], shape[1:].numel())
        self.keyed = Dropout(f"{edit.path}.noise", 0.0)  # which knows the key of the step
        for axis, count in zip(("rows", "columns"), self.table, strict=True):
            stacked = torch.from_numpy(np.stack(words(edit.path, axis, count))).to(base_layer.weight.device)
            self.register_buffer(f"noise_{axis}", stacked, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        if not self.active:
            return self.base_layer(x)
        weight = self.noisy() if self.training else self.rounded()
        return functional_call(self.base_layer, {"weight": weight}, (x,))

    def noisy(self) -> torch.Tensor:
        """The weight with noise."""
        weight = self.base_layer.weight
        step = self.spread(self.span() / (torch.exp2(self.bits()) - 1.0))
        return weight + (step.view(self.table) * self.noise() * 0.5).view(weight.shape)

    def noise(self) -> torch.Tensor:
        """n ``(rows, columns)`` of this step, float32."""
        key = self.keyed.key.value
        total = torch.zeros(self.table, device=key.device)
        for draw in range(DRAWS):
            rows, columns = (self.noise_rows[draw] ^ key) | 1, (self.noise_columns[draw] ^ key) | 1
            total = total + (rows[:, None] * columns).float()
        return total * SPREAD

    def rounded(self) -> torch.Tensor:
        """The weight as integers of b bits give it, with the gradient of the weight."""
        weight = self.base_layer.weight
        given = weight.detach()
        levels = torch.round(torch.exp2(torch.round(self.bits().detach()))) - 1.0
        step = self.spread(self.span() / levels).view(weight.shape)
        low = given.amin()
        codes = torch.round((given - low) / torch.where(step == 0, torch.ones_like(step), step))
        return through(weight, low + codes * step)

    def bits(self) -> torch.Tensor:
        """b of every group."""
        groups = self.edit.arguments.groups
        return groups.least + (groups.most - groups.least) * torch.sigmoid(self.bit_logits)

    def span(self) -> torch.Tensor:
        """r, a constant for the gradient."""
        weight = self.base_layer.weight.detach()
        return weight.amax() - weight.amin()

    def spread(self, groups: torch.Tensor) -> torch.Tensor:
        """``(groups,)`` to one for each number of the weight, in their order."""
        return groups.repeat_interleave(self.edit.arguments.groups.size)[: self.base_layer.weight.numel()]


build = QuantisationNoise
