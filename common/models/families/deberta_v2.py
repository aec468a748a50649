"""DeBERTa-v2 and DeBERTaV3 (He et al. 2021, 2023): projections of their own for query, key and value, distances in
buckets, and optionally a convolution beside the first layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.models.families.deberta import C2P, P2C, Deberta
from common.models.modules import ATTENTION, CONVOLUTION, LAYER_NORM, LINEAR, Heads, ModuleSpec, Window
from common.models.relative import largest_distance, normed, pos_att_types, span_of

__all__ = ["MEMBER", "DebertaV2"]

_NORMS = ("none", "layer_norm")


class DebertaV2(Deberta):
    """With ``share_att_key`` the projections of query and key are those of the relative positions as well."""

    name = "deberta-v2"
    architecture = "DebertaV2"
    TARGETS = ("*.query_proj", "*.value_proj")
    DEFAULTS = {
        **Deberta.DEFAULTS,
        "model_type": name,
        "vocab_size": 128100,
        "hidden_size": 1536,
        "num_hidden_layers": 24,
        "num_attention_heads": 24,
        "intermediate_size": 6144,
        "position_buckets": -1,
        "share_att_key": False,
        "norm_rel_ebd": "none",
        "conv_kernel_size": 0,
        "conv_groups": 1,
        "conv_act": "tanh",
    }
    RELATIVE = {**Deberta.RELATIVE, "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 8}

    def relative(self, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """With a norm of the table, where there is one."""
        listed, hidden = super().relative(config), config["hidden_size"]
        if normed(config):
            listed.append(ModuleSpec(f"{self.prefix}.encoder.LayerNorm", LAYER_NORM, hidden, hidden))
        return listed

    def attention(self, path: str, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """Query, key and value, and projections of the relative positions unless those of query and key serve them."""
        hidden, kinds = config["hidden_size"], pos_att_types(config)
        query, key, value = (f"{path}.{name}_proj" for name in ("query", "key", "value"))
        listed = [ModuleSpec(projection, LINEAR, hidden, hidden) for projection in (query, key, value)]
        if not config["share_att_key"]:
            own = ((C2P, "pos_key_proj"), (P2C, "pos_query_proj"))
            listed += [ModuleSpec(f"{path}.{name}", LINEAR, hidden, hidden) for kind, name in own if kind in kinds]
        positions = tuple(module.path for module in listed[3:])
        heads = Heads(
            config["num_attention_heads"],
            (query, key, value),
            past=False,
            positions=positions,
            span=span_of(config),
            terms=len(kinds),
        )
        return [*listed, ModuleSpec(path, ATTENTION, hidden, hidden, arguments=heads)]

    def after_first(self, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """The convolution of the embeddings, which is added to the first layer's output."""
        if not config["conv_kernel_size"]:
            return []
        path, hidden = f"{self.prefix}.encoder.conv", config["hidden_size"]
        window = Window((config["conv_kernel_size"],), config["conv_groups"])
        return [
            ModuleSpec(f"{path}.conv", CONVOLUTION, hidden, hidden, arguments=window),
            ModuleSpec(f"{path}.LayerNorm", LAYER_NORM, hidden, hidden),
        ]

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """Buckets that tell no distances apart, a norm that is not known, and a convolution that shortens texts."""
        yield from super().problems(config, given)
        number, kernel = config["position_buckets"], config["conv_kernel_size"]
        if not isinstance(number, int) or isinstance(number, bool):
            yield f"position_buckets must be a number; received {number!r}"
        elif number > 0 and not 1 <= number // 2 < largest_distance(config) - 1:
            yield (
                f"position_buckets must be from 2 to less than twice the largest distance "
                f"{largest_distance(config) - 1}; received {number}"
            )
        if {part.strip() for part in str(config["norm_rel_ebd"]).lower().split("|")} - set(_NORMS):
            yield f"norm_rel_ebd must be one of {', '.join(_NORMS)}; received {config['norm_rel_ebd']!r}"
        if kernel and not kernel % 2:
            yield f"conv_kernel_size must be odd, since an even one shortens the sequence; received {kernel}"
        if kernel and config["hidden_size"] % config["conv_groups"]:
            yield f"conv_groups must divide hidden_size; received {config['conv_groups']}"


MEMBER = DebertaV2()
