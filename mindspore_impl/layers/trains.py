"""Mirrors pytorch_impl.layers.trains; differs: reshapes name every size, and sequences are walked by index, which
graphs unroll."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from mindspore import Tensor, nn

from common.edits import Edit
from common.methods.trains import core_names
from mindspore_impl import functional as F
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["TrainWrapper", "multiplied"]


class TrainWrapper(Wrapper):
    """A wrapper whose parameters include the cores of the trains that its edit's arguments name."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        trains = edit.arguments.trains()
        self.cores = {name: tuple(getattr(self, core) for core in core_names(name, t)) for name, t in trains.items()}
        self.splits = {name: len(train.inputs) for name, train in trains.items()}
        self.thin = {name: train.by_cores for name, train in trains.items()}

    def product(self, name, x):
        """x ``(..., in)`` times the train ``name``, ``(..., out)``."""
        return multiplied(x, self.cores[name], self.splits[name], self.thin[name])


def multiplied(x: Tensor, cores: Sequence[Tensor], split: int, by_cores: bool) -> Tensor:
    """x ``(..., in)`` times the train's matrix, ``(..., out)``."""
    first, last = cores[0].shape, cores[len(cores) - 1].shape
    left, size = F.reshape(cores[0], (first[1], first[2])), first[1]
    for index in range(1, split):
        shape = cores[index].shape
        left = F.matmul(left, F.reshape(cores[index], (shape[0], shape[1] * shape[2])))
        size = size * shape[1]
        left = F.reshape(left, (size, shape[2]))
    right, size = F.reshape(cores[len(cores) - 1], (last[0], last[1])), last[1]
    for index in range(len(cores) - 2, split - 1, -1):
        shape = cores[index].shape
        right = F.matmul(F.reshape(cores[index], (shape[0] * shape[1], shape[2])), right)
        size = size * shape[1]
        right = F.reshape(right, (shape[0], size))
    if by_cores:
        return F.matmul(F.matmul(x, left), right)
    return F.matmul(x, F.matmul(left, right))
