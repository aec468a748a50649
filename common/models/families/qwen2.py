"""Qwen2 (Yang et al. 2024): Llama's network, whose queries, keys and values have biases."""

from __future__ import annotations

from common.models.families.llama import Llama

__all__ = ["MEMBER", "Qwen2"]

_OTHERS = ("attention_bias", "mlp_bias", "head_dim")  #: of Llama's configuration


class Qwen2(Llama):
    """Attention to a part of the sequence (``use_sliding_window``) is refused."""

    name = "qwen2"
    architecture = "Qwen2"
    FIXED = {"attention": True, "output": False, "mlp": False}
    DIVIDED = False
    DEFAULTS = {
        **{key: value for key, value in Llama.DEFAULTS.items() if key not in _OTHERS},
        "model_type": name,
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32768,
        "bos_token_id": None,
        "eos_token_id": None,
        "use_sliding_window": False,
    }


MEMBER = Qwen2()
