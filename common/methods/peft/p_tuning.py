"""P-tuning in PEFT's format (``P_TUNING``): the prompt that the encoder makes, and beside it the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.edits import Edit
from common.methods.p_tuning import encoded
from common.methods.peft.prepended import OWN, PrependedFormat, tokens_of

__all__ = ["PTuningFormat", "encoder_section"]

_TYPES = {"mlp": "MLP", "lstm": "LSTM"}


class PTuningFormat(PrependedFormat):
    """With the settings of the encoder."""

    kinds = ("P_TUNING",)
    known = frozenset(
        {"encoder_reparameterization_type", "encoder_hidden_size", "encoder_num_layers", "encoder_dropout"}
    )

    def made(self, edit: Edit) -> bool:
        """By the encoder."""
        return True

    def prompt(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """What the encoder makes."""
        return encoded(edit, arrays)

    def entries(self, edit: Edit) -> dict[str, Any]:
        """Of the encoder."""
        arguments = edit.arguments
        return {
            "encoder_reparameterization_type": _TYPES[arguments.encoder],
            "encoder_hidden_size": arguments.hidden,
            "encoder_num_layers": arguments.depth,
            "encoder_dropout": arguments.dropout,
        }


def encoder_section(settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """The section of an adapter folder with an encoder; None where it has none."""
    tokens, own = tokens_of(shapes), any(key.startswith(OWN) for key in shapes)
    if settings.get("peft_type") not in PTuningFormat.kinds or tokens is None or not own:
        return None
    names = {written: name for name, written in _TYPES.items()}
    return {
        "tokens": tokens,
        "encoder": names.get(str(settings.get("encoder_reparameterization_type")), "mlp"),
        "hidden": settings.get("encoder_hidden_size"),
        "layers": settings.get("encoder_num_layers", 2),
        "dropout": settings.get("encoder_dropout", 0.0),
    }
