"""``torch.nn``."""

from __future__ import annotations

from typing import Any

from mindspore_impl.torch_api.lifting import missing
from mindspore_impl.torch_api.nn import functional, init, modules, parameter, utils
from mindspore_impl.torch_api.nn.attention import *  # noqa: F403
from mindspore_impl.torch_api.nn.containers import *  # noqa: F403
from mindspore_impl.torch_api.nn.convolution import *  # noqa: F403
from mindspore_impl.torch_api.nn.linear import *  # noqa: F403
from mindspore_impl.torch_api.nn.module import Module
from mindspore_impl.torch_api.nn.normalization import *  # noqa: F403
from mindspore_impl.torch_api.nn.parameter import Buffer, Parameter
from mindspore_impl.torch_api.nn.recurrent import *  # noqa: F403
from mindspore_impl.torch_api.nn.stateless import stateless as _stateless

globals().update(_stateless())

__all__ = ["Buffer", "Module", "Parameter", "functional", "init", "modules", "parameter", "utils"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.nn.{name}")
