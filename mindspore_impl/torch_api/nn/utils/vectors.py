"""Parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable

from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters in one vector."""
    from mindspore_impl.torch_api import cat

    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """The parts of a vector as the values of parameters."""
    start = 0
    for parameter in parameters:
        parameter.data = vec[start : start + parameter.numel()].view(*parameter.shape)
        start += parameter.numel()
