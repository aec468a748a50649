"""Mirrors pytorch_impl.preparation; differs: the native cells read which fast paths are off, and nothing is
replaced."""

from __future__ import annotations

from mindspore import nn

from common.backend import EngineSettings

__all__ = ["prepare"]


def prepare(model: nn.Cell, settings: EngineSettings, device: str) -> None:
    """Apply ``settings`` to ``model`` in place."""
    for _, cell in model.cells_and_names():
        cell.plain = settings.plain
