"""Fake quantisation of a module's weight and input, see `common.quantisation.fake`.

y = module(q(x); q(W)),        dq(x)/dx = 1
"""

from __future__ import annotations

import torch
from torch.func import functional_call

from common.quantisation.fake import scale_axis
from common.quantisation.integers import largest
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["FakeQuantised", "build", "through"]


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return y.clone()

    @staticmethod
    def backward(ctx, g):
        return g, None


def through(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """``y``, with the gradient of ``x``."""
    return _Through.apply(x, y)


class FakeQuantised(Wrapper):
    """A linear layer, a convolution or an embedding, in the shapes of the layer that it holds."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module. While training, the range of the input is moved first."""
        arguments, base = self.edit.arguments, self.base_layer
        if not self.active:
            return base(x)
        if arguments.observes:
            if not self.training:
                self.move(x, torch.maximum(self.input_range, x.detach().abs().amax()))
            return base(x)
        if arguments.activation_bits is not None:
            x = self.quantised_input(x)
        if arguments.bits is None:
            return base(x)
        return functional_call(base, {"weight": self.quantised_weight()}, (x,))

    def quantised_input(self, x: torch.Tensor) -> torch.Tensor:
        """q(x) by the moving average."""
        if self.training:
            seen, decay = x.detach().abs().amax(), self.edit.arguments.decay
            average = self.input_range.detach() * decay + seen * (1.0 - decay)
            self.move(x, torch.where(self.input_range > 0, average, seen))
        most = float(largest(self.edit.arguments.activation_bits))
        scale = self.input_range.detach() / most
        given = x.detach()
        codes = torch.round(given / torch.where(scale == 0, torch.ones_like(scale), scale)).clamp(-most, most)
        return through(x, torch.where(scale == 0, given, codes * scale + (given - given)).to(x.dtype))

    @torch.no_grad()
    def move(self, x: torch.Tensor, found: torch.Tensor) -> None:
        """Keep a new range; a layer that is computed again in the backward pass has kept it already."""
        if torch._C._current_graph_task_id() == -1:
            self.input_range.copy_(found)

    def quantised_weight(self) -> torch.Tensor:
        """q(W)."""
        weight, axis = self.base_layer.weight, scale_axis(self.edit.module)
        most = float(largest(self.edit.arguments.bits))
        given = weight.detach()
        scale = given.abs().amax([other for other in range(given.ndim) if other != axis], keepdim=True)
        scale = scale / most
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        return through(weight, torch.round(given / scale).clamp(-most, most) * scale)


build = FakeQuantised
