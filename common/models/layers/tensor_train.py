"""A matrix as a tensor train: its rows and columns are split into modes, and a core of each pair of modes is kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.models.layers.layer import Layer
from common.models.modules import Kind, ModuleSpec

__all__ = ["MEMBER", "TENSOR_TRAIN", "TENSOR_TRAIN_TABLE", "Core", "TensorTrainArguments", "contracted", "cores"]

TENSOR_TRAIN = Kind("tensor_train", lambda module: None, matrix=True)
TENSOR_TRAIN_TABLE = Kind("tensor_train_table", lambda module: None, lookup=True)

Core = tuple[int, int, int, int]


@dataclass(frozen=True)
class TensorTrainArguments:
    """Modes of the outputs and of the inputs, as many of each, and the ranks between the cores, one fewer."""

    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    ranks: tuple[int, ...]


def cores(arguments: TensorTrainArguments) -> list[Core]:
    """(rank before, inputs, outputs, rank after) of every core."""
    before, after = (1, *arguments.ranks), (*arguments.ranks, 1)
    return list(zip(before, arguments.inputs, arguments.outputs, after, strict=True))


def contracted(module: ModuleSpec, arguments: TensorTrainArguments) -> bool:
    """Whether multiplying one input by core after core takes fewer multiplications than by the matrix."""
    multiplications, done = 0, 1
    for index, (before, inputs, outputs, after) in enumerate(cores(arguments)):
        left = math.prod(arguments.inputs[index + 1 :])
        multiplications += done * left * before * inputs * outputs * after
        done *= outputs
    return multiplications < module.in_features * module.out_features


class TensorTrain(Layer):
    """Replaces a linear layer in either weight layout, or an embedding.

    W[(o_1 ... o_d), (i_1 ... i_d)] = G_1[i_1, o_1] ... G_d[i_d, o_d], a product of matrices ``(rank, rank)``; the first
    mode is the slowest index. Parameters of a linear layer: ``<path>.core0`` to ``<path>.core<d - 1>``, each ``(rank
    before, inputs, outputs, rank after)``, and ``<path>.bias`` as before. Of an embedding, whose rows are the inputs:
    ``(inputs, rank before, outputs, rank after)``, of which the digits of an id take slices. The modes of its rows may
    multiply to more than it has; the rows past its end are never read.
    """

    name = "tensor_train"
    Arguments = TensorTrainArguments

    def module(self, module: ModuleSpec, arguments: TensorTrainArguments) -> ModuleSpec:
        """Of kind `TENSOR_TRAIN` or `TENSOR_TRAIN_TABLE`; slices stay addressable."""
        if not (module.kind.matrix or module.kind.lookup) or module.tied_to:
            raise InputError(
                f"Only linear layers and embeddings with a weight of their own become tensor trains; {module.path} "
                f"is a {module.kind.name}"
                + (f" that shares the weight of {module.tied_to}." if module.tied_to else ".")
            )
        self._check(module, arguments)
        lookup = module.kind.lookup
        listed: list[tuple[str, tuple[int, ...]]] = [
            (f"core{number}", (inputs, before, outputs, after) if lookup else (before, inputs, outputs, after))
            for number, (before, inputs, outputs, after) in enumerate(cores(arguments))
        ]
        if module.bias:
            listed.append(("bias", (module.out_features,)))
        kind = TENSOR_TRAIN_TABLE if lookup else TENSOR_TRAIN
        return dataclasses.replace(module, kind=kind, parameters=tuple(listed))

    def _check(self, module: ModuleSpec, arguments: TensorTrainArguments) -> None:
        outputs, inputs, ranks = arguments.outputs, arguments.inputs, arguments.ranks
        lengths = len(outputs) == len(inputs) == len(ranks) + 1 >= 2
        positive = min((*outputs, *inputs, *ranks), default=0) >= 1
        rows, covered = module.in_features, math.prod(inputs)
        fits = covered >= rows if module.kind.lookup else covered == rows
        if not (lengths and positive and fits and math.prod(outputs) == module.out_features):
            raise InputError(
                "The modes of the outputs must multiply to their number, those of the inputs too (of an embedding's rows "
                "at least to it), with one rank fewer than modes of either; "
                f"{module.path} is {module.out_features} x {rows} (out x in), outputs {list(outputs)}, inputs "
                f"{list(inputs)}, ranks {list(ranks)}."
            )

    def dense(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The product of the cores."""
        product = np.ones((1, 1, 1))  # (inputs, outputs, rank)
        lookup = edit.module.kind.lookup
        for number in range(len(edit.arguments.inputs)):
            core = arrays[f"{edit.path}.core{number}"].astype(np.float64)
            core = core.transpose(1, 0, 2, 3) if lookup else core
            product = np.einsum("ior,rjps->ijops", product, core)
            rows, more, columns, wide, rank = product.shape
            product = product.reshape(rows * more, columns * wide, rank)
        weight = product[: edit.module.in_features, :, 0]  # (in, out)
        return weight if lookup or edit.module.kind.transposed else weight.T


MEMBER = TensorTrain()
