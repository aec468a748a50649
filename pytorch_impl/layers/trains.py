"""Layers with matrices that are tensor trains, see `common.methods.trains`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.methods.trains import core_names
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["TrainWrapper", "multiplied"]


class TrainWrapper(Wrapper):
    """A wrapper whose parameters include the cores of the trains that its edit's arguments name."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.trains = edit.arguments.trains()

    def product(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """x ``(..., in)`` times the train ``name``, ``(..., out)``."""
        train = self.trains[name]
        cores = [getattr(self, core) for core in core_names(name, train)]
        return multiplied(x, cores, len(train.inputs), train.by_cores)


def multiplied(x: torch.Tensor, cores: Sequence[torch.Tensor], split: int, by_cores: bool) -> torch.Tensor:
    """x ``(..., in)`` times the train's matrix, ``(..., out)``.

    The cores of the inputs are contracted to L ``(in, bond)`` and those of the outputs to R ``(bond, out)``.

    Args:
        split: number of cores that belong to the inputs.
        by_cores: multiply by L and then by R instead of by L R, see `common.methods.trains.Train.by_cores`.
    """
    left = cores[0].reshape(-1, cores[0].shape[2])  # (n_1, r_1)
    for core in cores[1:split]:
        left = (left @ core.reshape(core.shape[0], -1)).reshape(-1, core.shape[2])
    right = cores[-1].reshape(cores[-1].shape[0], -1)  # (r_d-1, n_d)
    for core in reversed(cores[split:-1]):
        right = (core.reshape(-1, core.shape[2]) @ right).reshape(core.shape[0], -1)
    return (x @ left) @ right if by_cores else x @ (left @ right)
