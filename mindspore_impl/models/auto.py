"""Mirrors pytorch_impl.models.auto; differs: says that other families exist on the PyTorch side only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from mindspore import Tensor, nn

from common.config.schema import ModelConfig
from common.errors import InputError

__all__ = ["build", "describe", "hidden_states", "logits", "loss_sum"]


def _refuse(model_type: str | None) -> NoReturn:
    raise InputError(
        f"The MindSpore half has native cells for bert and gpt2; {model_type} models are adapted on the PyTorch side only. Use --backend pytorch."
    )


def build(config: Mapping[str, Any], task: str) -> nn.Cell:
    """Refused."""
    _refuse(config.get("model_type"))


def logits(model: nn.Cell, batch: Mapping[str, Tensor], positions: Tensor | None = None) -> Tensor:
    """Refused."""
    _refuse(model.family)


def loss_sum(model: nn.Cell, batch: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Refused."""
    _refuse(model.family)


def hidden_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """Refused."""
    _refuse(model.family)


def describe(
    config: ModelConfig,
    folder: Path | None,
    given: Mapping[str, Any],
    labels: tuple[str, ...] | None,
    pad_token_id: int | None,
    seed: int,
):
    """Refused."""
    _refuse(given.get("model_type"))
