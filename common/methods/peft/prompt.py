"""Prompt tuning in PEFT's format (``PROMPT_TUNING``). A prompt that PEFT's P-tuning made is one as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.methods.peft.prepended import OWN, PrependedFormat, tokens_of

__all__ = ["PromptFormat", "prompt_tokens"]

_STARTS = {"prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs"}
_ENCODER = {"encoder_reparameterization_type", "encoder_hidden_size", "encoder_num_layers", "encoder_dropout"}


class PromptFormat(PrependedFormat):
    """Where the tokens started is not read: the file holds what became of them."""

    kinds = ("PROMPT_TUNING", "P_TUNING")
    known = frozenset(_STARTS | _ENCODER)


def prompt_tokens(settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Virtual tokens of an adapter folder; None where it is of another type, or holds an encoder."""
    if settings.get("peft_type") not in PromptFormat.kinds or any(key.startswith(OWN) for key in shapes):
        return None
    return tokens_of(shapes)
