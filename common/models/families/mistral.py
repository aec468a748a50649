"""Mistral (Jiang et al. 2023): Llama's network, whose tokens attend to a window of those before them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.models.families.llama import Llama

__all__ = ["MEMBER", "Mistral"]


class Mistral(Llama):
    """``sliding_window`` positions, a token's own among them; null for all."""

    name = "mistral"
    architecture = "Mistral"
    FIXED = {"attention": False, "output": False, "mlp": False}
    DIVIDED = False
    NULLABLE = ("sliding_window",)
    DEFAULTS = {
        **{key: value for key, value in Llama.DEFAULTS.items() if key not in ("attention_bias", "mlp_bias")},
        "model_type": name,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    }

    def window(self, config: Mapping[str, Any]) -> int | None:
        """``sliding_window``."""
        return config["sliding_window"]

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """A window that holds nothing."""
        yield from super().problems(config, given)
        if self.window(config) == 0:
            yield "sliding_window must be null or greater than 0; received 0"

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """A window that is shorter than most sequences of tests."""
        return super().tiny(**sizes) | {"sliding_window": 5}


MEMBER = Mistral()
