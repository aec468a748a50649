"""The graph of a network as an ONNX file, by torch's exporter."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.backend import FAST_PATHS
from common.errors import InputError

__all__ = ["logits", "write"]


class _Traced(nn.Module):
    """The logits of a network as a function of its inputs in order."""

    def __init__(self, network: nn.Module, names: Sequence[str]):
        super().__init__()
        self.network, self.names = network, tuple(names)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Logits of the head."""
        return self.network.logits(dict(zip(self.names, inputs, strict=True)))


@torch.no_grad()
def logits(network: nn.Module, batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the network gives for a batch."""
    return network.logits(_tensors(batch)).float().numpy()


@torch.no_grad()
def write(network: nn.Module, path: Path, inputs: Sequence[np.ndarray], names: Sequence[str], output: str) -> int:
    """Write the graph of the network, whose first two axes, rows and tokens, are free; returns the opset.

    Raises:
        InputError: the network cannot be traced.
    """
    for module in network.modules():  # fast paths are made for training
        if hasattr(module, "plain"):
            module.plain = tuple(FAST_PATHS)
    given = tuple(torch.from_numpy(array).long() for array in inputs)
    free = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens")}
    with _quiet():
        try:
            program = torch.onnx.export(
                _Traced(network, names).eval(),
                given,
                dynamo=True,
                input_names=list(names),
                output_names=[output],
                dynamic_shapes=(tuple(dict(free) for _ in names),),
                verbose=False,
            )
        except Exception as error:  # the exporter raises its own kinds, whose names are private
            raise InputError(
                f"torch's exporter cannot trace this model; it says: {str(error).splitlines()[0]}"
            ) from error
        assert program is not None
        program.save(str(path))
    return int(program.model.opset_imports[""])


def _tensors(batch: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(array)).long() for name, array in batch.items()}


@contextlib.contextmanager
def _quiet():
    """Without the exporter's remarks on its own work."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
