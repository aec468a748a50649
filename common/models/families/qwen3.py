"""Qwen3 (Yang et al. 2025): Llama's network, which normalises every head of its queries and keys."""

from __future__ import annotations

from typing import Any

from common.models.families.llama import Llama

__all__ = ["MEMBER", "Qwen3"]


class Qwen3(Llama):
    """The width of a head is an entry of its own; attention to a part of the sequence is refused."""

    name = "qwen3"
    architecture = "Qwen3"
    NORMED = True
    FIXED = {"mlp": False}
    DIVIDED = False
    DEFAULTS = {
        **{key: value for key, value in Llama.DEFAULTS.items() if key != "mlp_bias"},
        "model_type": name,
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_key_value_heads": 32,
        "head_dim": 128,
        "max_position_embeddings": 32768,
        "bos_token_id": None,
        "eos_token_id": None,
        "use_sliding_window": False,
    }

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """Heads are wider than their share of the hidden states."""
        entries = super().tiny(**sizes)
        share = entries["hidden_size"] // entries["num_attention_heads"]
        return entries | {"head_dim": 2 * (share // 2 + 1)}


MEMBER = Qwen3()
