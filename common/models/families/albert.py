"""ALBERT (Lan et al. 2020): narrow embeddings, and layers that share their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.models.families.bert import Bert
from common.models.family import EACH, FIRST, Backbone, HeadLayout
from common.models.modules import ATTENTION, LAYER_NORM, LINEAR, Heads, ModuleSpec

__all__ = ["MEMBER", "Albert", "uses"]

_GROUPS = "albert.encoder.albert_layer_groups"


def uses(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths of the layers in the order in which they are used: ``num_hidden_layers`` times a group, of which there are
    ``num_hidden_groups``, each of ``inner_group_num`` layers with parameters of their own."""
    layers, groups, inner = (config[name] for name in ("num_hidden_layers", "num_hidden_groups", "inner_group_num"))
    order = [int(index / (layers / groups)) for index in range(layers)]  # in floats, as in transformers
    return tuple(f"{_GROUPS}.{group}.albert_layers.{number}" for group in order for number in range(inner))


class Albert(Bert):
    """An adapter of a shared layer is one adapter, which every use of the layer computes with."""

    name = "albert"
    prefix = "albert"
    DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob")
    UNDROPPED = ("*.ffn_output",)
    OPTIONAL = ("albert.pooler",)
    PARTS = None  # its layers are one, used several times
    DEFAULTS = {
        "model_type": name,
        "vocab_size": 30000,
        "embedding_size": 128,
        "hidden_size": 4096,
        "num_hidden_layers": 12,
        "num_hidden_groups": 1,
        "num_attention_heads": 64,
        "intermediate_size": 16384,
        "inner_group_num": 1,
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "classifier_dropout_prob": 0.1,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Embeddings, their projection, which is always there, and the layers, each once."""
        narrow, hidden = config["embedding_size"], config["hidden_size"]
        before = self.embeddings(config, narrow)
        before.append(ModuleSpec("albert.encoder.embedding_hidden_mapping_in", LINEAR, narrow, hidden))
        order = uses(config)
        layers = {path: _layer(path, config) for path in order}
        listed = [*before, *(module for layer in layers.values() for module in layer)]
        walk = [*before, *(module for path in order for module in layers[path])]
        return Backbone(tuple(listed), hidden, len(order), "albert", tuple(module.path for module in walk))

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """Pooler and classifier; classifier of every token; the masked-token head, tied to the word embeddings."""
        dropout, predictions = config["classifier_dropout_prob"], "predictions"
        layouts = {
            "sequence": HeadLayout(
                "AlbertForSequenceClassification",
                FIRST,
                "classifier",
                dense="albert.pooler",
                dropout=dropout,
                base=("albert.pooler",),
            ),
            "token": HeadLayout("AlbertForTokenClassification", EACH, "classifier", dropout=dropout),
            "masked": HeadLayout(
                "AlbertForMaskedLM",
                EACH,
                f"{predictions}.decoder",
                dense=f"{predictions}.dense",
                width=config["embedding_size"],
                activation=config["hidden_act"],
                norm=f"{predictions}.LayerNorm",
                norm_eps=config["layer_norm_eps"],
                tied_to="albert.embeddings.word_embeddings",
                added=predictions,
                base=(f"{predictions}.dense", f"{predictions}.LayerNorm"),
            ),
        }
        return layouts.get(name)

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """A decoder, positions that are not absolute, sizes that are 0, and groups that no layer would use."""
        yield from super().problems(config, given)
        for entry in ("embedding_size", "num_hidden_groups", "inner_group_num"):
            if config[entry] < 1:
                yield f"{entry} must be at least 1; received {config[entry]}"
        layers, groups = config["num_hidden_layers"], config["num_hidden_groups"]
        if groups > layers:
            yield f"num_hidden_groups must be num_hidden_layers at most; received {groups} and {layers}"

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """With embeddings that are narrower than the layers, which all share their parameters."""
        entries = super().tiny(**sizes)
        return entries | {"embedding_size": max(1, entries["hidden_size"] // 2)}


def _layer(layer: str, config: Mapping[str, Any]) -> list[ModuleSpec]:
    hidden, inner, attention = config["hidden_size"], config["intermediate_size"], f"{layer}.attention"
    projections = (f"{attention}.query", f"{attention}.key", f"{attention}.value")
    heads = Heads(config["num_attention_heads"], projections, past=False)
    return [
        *(ModuleSpec(path, LINEAR, hidden, hidden) for path in projections),
        ModuleSpec(attention, ATTENTION, hidden, hidden, arguments=heads),
        ModuleSpec(f"{attention}.dense", LINEAR, hidden, hidden),
        ModuleSpec(f"{attention}.LayerNorm", LAYER_NORM, hidden, hidden),
        ModuleSpec(f"{layer}.ffn", LINEAR, hidden, inner),
        ModuleSpec(f"{layer}.ffn_output", LINEAR, inner, hidden),
        ModuleSpec(f"{layer}.full_layer_layer_norm", LAYER_NORM, hidden, hidden),
    ]


MEMBER = Albert()
