"""A network from a source file, to be compared with its converted form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from common.api_mapping.checking.inputs import noise
from common.api_mapping.checking.network import TorchNetwork, built

__all__ = ["network"]

_NOISE = {torch.randn: "normal", torch.randn_like: "normal", torch.rand: "uniform", torch.rand_like: "uniform"}


def network(path: Path, name: str, arguments: Mapping[str, Any]) -> Any:
    """The class ``name`` of a file, constructed, with the methods of `TorchNetwork`.

    Raises:
        InputError: there is no such class, or it refuses the arguments.
    """
    return TorchNetwork(torch, torch.Tensor, *built(path, "torch", name, arguments), _Fixed)


class _Fixed(TorchFunctionMode):
    """Random tensors that depend on their shape alone."""

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function not in _NOISE:
            return function(*args, **(kwargs or {}))
        like = function in (torch.randn_like, torch.rand_like)
        shape = tuple(args[0].shape) if like else tuple(args[0] if isinstance(args[0], tuple | list) else args)
        drawn = noise(shape, "random numbers")
        return torch.from_numpy(drawn if _NOISE[function] == "normal" else np.abs(np.sin(drawn)))
