"""Prefix tuning in PEFT's format (``PREFIX_TUNING``): keys and values, and beside them the projection that makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.edits import Edit
from common.methods.peft.prepended import OWN, PrependedFormat, tokens_of
from common.methods.prefix import projected

__all__ = ["PrefixFormat", "prefix_section"]


class PrefixFormat(PrependedFormat):
    """A row of ``prompt_embeddings`` holds key and value of every layer in turn."""

    kinds = ("PREFIX_TUNING",)
    known = frozenset({"encoder_hidden_size", "prefix_projection", "init_weights"})

    def sizes(self, edit: Edit) -> tuple[int, int]:
        """Of keys and values, which groups of heads may share."""
        return edit.arguments.kept, edit.arguments.pairs

    def made(self, edit: Edit) -> bool:
        """By a projection."""
        return bool(edit.arguments.hidden)

    def prompt(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Keys and values."""
        return projected(edit, arrays)

    def prompt_shape(self, edit: Edit) -> tuple[int, ...]:
        """``(tokens, layers * 2 * width of the keys)``."""
        arguments = edit.arguments
        return arguments.tokens, 2 * arguments.layers * arguments.kept

    def entries(self, edit: Edit) -> dict[str, Any]:
        """Of the projection."""
        hidden = edit.arguments.hidden
        return {"prefix_projection": True, "encoder_hidden_size": hidden} if hidden else {"prefix_projection": False}


def prefix_section(settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """The section of an adapter folder; None where it is of another type."""
    tokens = tokens_of(shapes)
    if settings.get("peft_type") not in PrefixFormat.kinds or tokens is None:
        return None
    inner = shapes.get(f"{OWN}prefix_down_weight")
    return {"tokens": tokens, **({"projection": True, "hidden": inner[0]} if inner else {})}
