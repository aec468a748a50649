"""``torch.nn.utils``."""

from __future__ import annotations

from typing import Any

from mindspore_impl.torch_api.lifting import missing
from mindspore_impl.torch_api.nn.utils import rnn
from mindspore_impl.torch_api.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, get_total_norm
from mindspore_impl.torch_api.nn.utils.vectors import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "rnn",
    "vector_to_parameters",
]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.nn.utils.{name}")
