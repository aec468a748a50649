"""Dropout while training (Srivastava et al. 2014); nothing is random in evaluation."""

from __future__ import annotations

from mindspore import Tensor

from mindspore_impl.shims.nn.base import Module, function

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d"]


class Dropout(Module):
    """Single elements are zeroed and the others scaled."""

    name = "dropout"

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        if inplace:
            raise ValueError("inplace=True is not available: a new tensor is returned; use it and leave inplace out.")
        self.p, self.function = p, function(self.name)

    def construct(self, input: Tensor) -> Tensor:
        return self.function(input, self.p, self.training) if self.training else input


class Dropout1d(Dropout):
    """Whole channels are zeroed, of ``(N, C, L)`` or ``(C, L)``."""

    name = "dropout1d"


class Dropout2d(Dropout):
    """Whole channels are zeroed, of ``(N, C, H, W)`` or ``(C, H, W)``."""

    name = "dropout2d"


class Dropout3d(Dropout):
    """Whole channels are zeroed, of ``(N, C, D, H, W)`` or ``(C, D, H, W)``."""

    name = "dropout3d"


class AlphaDropout(Dropout):
    """Elements take SELU's lowest value; mean and variance stay."""

    name = "alpha_dropout"
