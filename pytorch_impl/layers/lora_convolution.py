"""LoRA of a convolution as in loralib: the weight is W + s B A, with the entries of B A in the order of W's.

y = conv(x, W + s reshape(B A)) + b,        s = alpha / rank   (or alpha / sqrt(rank))
"""

from __future__ import annotations

import torch

from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["LoRAConvolution", "build"]


class LoRAConvolution(Wrapper):
    """``(batch, in, ...)`` to ``(batch, out, ...)``, of one or two dimensions; sizes in
    `common.methods.windows.window_sizes`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One convolution with the changed weight."""
        base = self.base_layer
        if not self.active:
            return base(x)
        update = torch.mm(self.lora_B, self.lora_A).view(base.weight.shape) * self.edit.arguments.scaling
        return base._conv_forward(x, base.weight + update.to(base.weight.dtype), base.bias)


build = LoRAConvolution
