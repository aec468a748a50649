"""Llama (Touvron et al. 2023): a pre-norm decoder with RMS norms, rotary positions, shared keys and a gated feed-forward
part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from common.models import rotary
from common.models.family import EACH, LAST, Backbone, Family, HeadLayout
from common.models.modules import ATTENTION, EMBEDDING, LINEAR, RMS_NORM, Heads, ModuleSpec

__all__ = ["MEMBER", "Llama", "Sizes", "padding_row", "sizes"]


class Sizes:
    """Of the attention under one configuration."""

    def __init__(self, config: Mapping[str, Any]):
        self.heads: int = config["num_attention_heads"]
        self.pairs: int = config.get("num_key_value_heads") or self.heads  #: heads of keys and values
        self.width: int = config.get("head_dim") or config["hidden_size"] // self.heads  #: of a head


def sizes(config: Mapping[str, Any]) -> Sizes:
    """Heads and their width; `transformers` derives what a configuration leaves out in the same way."""
    return Sizes(config)


def padding_row(config: Mapping[str, Any]) -> int | None:
    """The row of the embedding that belongs to padding alone, and is never trained; None where the padding id is a
    token as well, as where a tokenizer pads with its end token."""
    padding = config.get("pad_token_id")
    ends = config.get("eos_token_id")
    words = {config.get("bos_token_id"), *(ends if isinstance(ends, list | tuple) else (ends,))}
    return None if padding in words else padding


class Llama(Family):
    """Its relatives override the biases of projections, the norms of queries and keys, and their defaults."""

    name = "llama"
    architecture: ClassVar[str] = "Llama"  #: of ``transformers``: what its networks' names begin with
    NORMED: ClassVar[bool] = False  #: whether every head of queries and keys is normalised
    FIXED: ClassVar[Mapping[str, bool]] = {}  #: biases that its networks have or lack under every configuration
    DIVIDED: ClassVar[bool] = True  #: whether ``transformers`` wants ``hidden_size`` to be a multiple of the heads
    COUNTED = False
    DROPOUTS = ("attention_dropout",)
    TARGETS = ("*.q_proj", "*.v_proj")
    SIZE = {
        "hidden": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "inner": "intermediate_size",
        "positions": "max_position_embeddings",
    }
    DEFAULTS = {
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": None,
        "head_dim": None,
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-6,
        "pad_token_id": None,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
        "rope_parameters": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
    }

    def bias(self, entry: str, config: Mapping[str, Any]) -> bool:
        """Whether projections have a bias: ``attention`` of queries, keys and values, ``output`` of the attention's
        output, ``mlp`` of the feed-forward part."""
        name = "mlp_bias" if entry == "mlp" else "attention_bias"
        return self.FIXED.get(entry, bool(config.get(name)))

    def window(self, config: Mapping[str, Any]) -> int | None:
        """How many positions a token attends to, its own and those before it; None for all."""
        return None

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Embedding, layers and the final norm."""
        hidden = config["hidden_size"]
        listed = [ModuleSpec("model.embed_tokens", EMBEDDING, config["vocab_size"], hidden, bias=False)]
        for index in range(config["num_hidden_layers"]):
            listed += self._layer(f"model.layers.{index}", config)
        listed.append(ModuleSpec("model.norm", RMS_NORM, hidden, hidden, bias=False))
        return Backbone(tuple(listed), hidden, config["num_hidden_layers"], "model")

    def _layer(self, layer: str, config: Mapping[str, Any]) -> list[ModuleSpec]:
        hidden, inner, found = config["hidden_size"], config["intermediate_size"], sizes(config)
        queries, keys = found.heads * found.width, found.pairs * found.width
        attention = f"{layer}.self_attn"
        paths = (f"{attention}.q_proj", f"{attention}.k_proj", f"{attention}.v_proj")
        wide, mlp = self.bias("attention", config), self.bias("mlp", config)
        heads = Heads(found.heads, paths, causal=True, keys=found.pairs)
        norms = [
            ModuleSpec(f"{attention}.{name}_norm", RMS_NORM, found.width, found.width, bias=False)
            for name in "qk"
            if self.NORMED
        ]
        return [
            ModuleSpec(f"{layer}.input_layernorm", RMS_NORM, hidden, hidden, bias=False),
            *(
                ModuleSpec(path, LINEAR, hidden, outputs, wide)
                for path, outputs in zip(paths, (queries, keys, keys), strict=True)
            ),
            *norms,
            ModuleSpec(attention, ATTENTION, queries, queries, arguments=heads),
            ModuleSpec(f"{attention}.o_proj", LINEAR, queries, hidden, self.bias("output", config)),
            ModuleSpec(f"{layer}.post_attention_layernorm", RMS_NORM, hidden, hidden, bias=False),
            ModuleSpec(f"{layer}.mlp.gate_proj", LINEAR, hidden, inner, mlp),
            ModuleSpec(f"{layer}.mlp.up_proj", LINEAR, hidden, inner, mlp),
            ModuleSpec(f"{layer}.mlp.down_proj", LINEAR, inner, hidden, mlp),
        ]

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """The vocabulary, tied to the embedding or with a weight of its own; a linear layer on the last real token; a
        classifier of every token."""
        tied = bool(config.get("tie_word_embeddings", self.DEFAULTS["tie_word_embeddings"]))
        given = config.get("classifier_dropout"), config.get("hidden_dropout"), 0.1
        layouts = {
            "causal": HeadLayout(
                f"{self.architecture}ForCausalLM",
                EACH,
                "lm_head",
                output_bias=False,
                tied_to="model.embed_tokens" if tied else None,
                words=True,
                base=() if tied else ("lm_head",),
            ),
            "sequence": HeadLayout(f"{self.architecture}ForSequenceClassification", LAST, "score", output_bias=False),
            "token": HeadLayout(
                f"{self.architecture}ForTokenClassification",
                EACH,
                "score",
                output_bias=bool(config.get("token_classification_bias", True)),
                dropout=next(value for value in given if value is not None),
            ),
        }
        return layouts.get(name)

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """Those that the network was made for; rotary positions go on, of which nothing is known."""
        return config["max_position_embeddings"]

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """Heads that do not divide, positions that are not known here, and attention to a part of the sequence."""
        yield from rotary.problems(config)
        found, hidden = sizes(config), config["hidden_size"]
        if found.heads % found.pairs:
            yield f"num_attention_heads must be a multiple of num_key_value_heads; received {found.heads} and {found.pairs}"
        if self.DIVIDED and hidden % found.heads:
            yield f"hidden_size must be a multiple of num_attention_heads; received {hidden} and {found.heads}"
        if found.width % 2:
            yield f"the width of a head must be even, since its scalars are turned in pairs; received {found.width}"
        if config.get("use_sliding_window"):
            yield f"use_sliding_window must be false, since attention of {self.name} covers the whole sequence here"
        wanted = "full_attention" if self.window(config) is None else "sliding_attention"
        others = sorted({str(kind) for kind in config.get("layer_types") or ()} - {wanted})
        if others:
            yield f"layer_types must be {wanted!r} in every layer; received {others[0]!r}"

    def padded(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The embedding, where a row belongs to padding alone."""
        return () if padding_row(config) is None else ("model.embed_tokens",)

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """Groups of two heads, where there are as many, share keys and values."""
        entries = super().tiny(**sizes)
        heads = entries["num_attention_heads"]
        return entries | {"num_key_value_heads": heads if heads % 2 else heads // 2}


MEMBER = Llama()
