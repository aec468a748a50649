"""DeBERTa (He et al. 2021): attention of contents and relative positions, each with projections of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from common.backend.batch import Field
from common.models.family import ATTENTION_MASK, EACH, FIRST, INPUT_IDS, TOKEN_TYPE_IDS, Backbone, Family, HeadLayout
from common.models.modules import ATTENTION, EMBEDDING, LAYER_NORM, LINEAR, OTHER, Heads, ModuleSpec
from common.models.relative import pos_att_types, span_of

__all__ = ["MEMBER", "Deberta"]

C2P, P2C = "c2p", "p2c"


class Deberta(Family):
    """Post-norm encoder whose query, key and value are one projection, interleaved by head: of ``3 * width`` outputs of
    a head, the first ``width`` are its query, then come its key and its value."""

    name = "deberta"
    prefix: ClassVar[str] = "deberta"  #: of every module of the encoder
    architecture: ClassVar[str] = "Deberta"  #: of ``transformers``: what its networks' names begin with
    INPUTS: ClassVar[tuple[Field, ...]] = (INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS)
    DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout", "cls_dropout")
    TARGETS: ClassVar[tuple[str, ...]] = ("*.in_proj[q,v]",)
    EMBEDDING_NORM = "embeddings.LayerNorm"
    OPTIONAL = ("deberta.embeddings.position_embeddings",)
    SIZE = {
        "hidden": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "inner": "intermediate_size",
        "positions": "max_position_embeddings",
    }
    DEFAULTS: ClassVar[dict[str, Any]] = {  # those of ``transformers``, which config.json may leave out
        "model_type": "deberta",
        "vocab_size": 50265,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-7,
        "relative_attention": False,
        "max_relative_positions": -1,
        "pad_token_id": 0,
        "position_biased_input": True,
        "pos_att_type": None,
        "pooler_dropout": 0.0,
        "pooler_hidden_act": "gelu",
        "cls_dropout": None,
        "legacy": True,
        "enhanced_mask_decoder": False,  # of the masked head; no entry of ``transformers``
    }
    RELATIVE: ClassVar[dict[str, Any]] = {  #: entries that make a configuration DeBERTa's
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": [C2P, P2C],
    }

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Embeddings, the table of relative positions, and encoder layers."""
        hidden, layers = config["hidden_size"], config["num_hidden_layers"]
        listed = self.embeddings(config)
        listed += self.relative(config)
        for index in range(layers):
            listed += self.layer(f"{self.prefix}.encoder.layer.{index}", config)
            if index == 0:
                listed += self.after_first(config)
        return Backbone(tuple(listed), hidden, layers, self.prefix)

    def embeddings(self, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """Tables, the projection of a narrower embedding, and the norm."""
        path, hidden = f"{self.prefix}.embeddings", config["hidden_size"]
        width, positions = config.get("embedding_size") or hidden, config["max_position_embeddings"]
        listed = [ModuleSpec(f"{path}.word_embeddings", EMBEDDING, config["vocab_size"], width, bias=False)]
        if config["position_biased_input"]:
            listed.append(_positions(f"{path}.position_embeddings", positions, width))
        if config["type_vocab_size"]:
            types = config["type_vocab_size"]
            listed.append(ModuleSpec(f"{path}.token_type_embeddings", EMBEDDING, types, width, bias=False))
        if width != hidden:
            listed.append(ModuleSpec(f"{path}.embed_proj", LINEAR, width, hidden, bias=False))
        return [*listed, ModuleSpec(f"{path}.LayerNorm", LAYER_NORM, hidden, hidden)]

    def relative(self, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """The table of relative positions, which every layer reads as a whole: no lookup, so that no adapter wraps
        it."""
        rows, hidden = 2 * span_of(config), config["hidden_size"]
        table = (("weight", (rows, hidden)),)
        return [ModuleSpec(f"{self.prefix}.encoder.rel_embeddings", OTHER, rows, hidden, False, parameters=table)]

    def layer(self, path: str, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """One encoder layer."""
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        return [
            *self.attention(f"{path}.attention.self", config),
            ModuleSpec(f"{path}.attention.output.dense", LINEAR, hidden, hidden),
            ModuleSpec(f"{path}.attention.output.LayerNorm", LAYER_NORM, hidden, hidden),
            ModuleSpec(f"{path}.intermediate.dense", LINEAR, hidden, inner),
            ModuleSpec(f"{path}.output.dense", LINEAR, inner, hidden),
            ModuleSpec(f"{path}.output.LayerNorm", LAYER_NORM, hidden, hidden),
        ]

    def attention(self, path: str, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """The fused projection, those of the relative positions, and the attention with the biases of query and
        value."""
        hidden, heads, kinds = config["hidden_size"], config["num_attention_heads"], pos_att_types(config)
        width, fused = hidden // heads, f"{path}.in_proj"
        parts = tuple(
            (name, start, start + width)
            for head in range(heads)
            for name, start in zip("qkv", range(3 * head * width, 3 * (head + 1) * width, width), strict=True)
        )
        listed = [ModuleSpec(fused, LINEAR, hidden, 3 * hidden, bias=False, slices=parts)]
        if C2P in kinds:
            listed.append(ModuleSpec(f"{path}.pos_proj", LINEAR, hidden, hidden, bias=False))
        if P2C in kinds:
            listed.append(ModuleSpec(f"{path}.pos_q_proj", LINEAR, hidden, hidden))
        positions = tuple(module.path for module in listed[1:])
        arguments = Heads(
            heads, (fused, fused, fused), past=False, positions=positions, span=span_of(config), terms=len(kinds)
        )
        biases = ("q_bias", "v_bias")
        return [*listed, ModuleSpec(path, ATTENTION, hidden, hidden, False, added=biases, arguments=arguments)]

    def after_first(self, config: Mapping[str, Any]) -> list[ModuleSpec]:
        """What stands behind the first layer alone."""
        return []

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """Pooler and classifier; classifier of every token; the masked-token head, tied to the word embeddings; the
        discriminator of replaced tokens, under the names of the published checkpoints."""
        dropout, hidden = config["hidden_dropout_prob"], config["hidden_size"]
        classifier = config.get("cls_dropout")
        replaced = "mask_predictions"
        layouts = {
            "sequence": HeadLayout(
                f"{self.architecture}ForSequenceClassification",
                FIRST,
                "classifier",
                dense="pooler.dense",
                activation=config["pooler_hidden_act"],
                dropout=dropout if classifier is None else classifier,
                dense_dropout=config["pooler_dropout"],
                dense_dropout_path="pooler.dropout",
            ),
            "token": HeadLayout(f"{self.architecture}ForTokenClassification", EACH, "classifier", dropout=dropout),
            "masked": self._masked(config, config.get("embedding_size") or hidden),
            "replaced": HeadLayout(
                f"{self.architecture}Model",
                EACH,
                f"{replaced}.classifier",
                named=False,
                outputs=1,
                context=f"{replaced}.LayerNorm",
                dense=f"{replaced}.dense",
                activation=config["hidden_act"],
                norm_eps=config["layer_norm_eps"],
                base=tuple(f"{replaced}.{part}" for part in ("LayerNorm", "dense", "classifier")),
            ),
        }
        return layouts.get(name)

    def _masked(self, config: Mapping[str, Any], width: int) -> HeadLayout:
        """``legacy`` is the head that ``transformers`` gave this network at first; without it, the one of the published
        checkpoints."""
        legacy, enhanced = config["legacy"], config["enhanced_mask_decoder"]
        head = "cls.predictions" if legacy else "lm_predictions.lm_head"
        transform = f"{head}.transform" if legacy else head
        dense, norm = f"{transform}.dense", f"{transform}.LayerNorm"
        table = _positions(f"{self.prefix}.embeddings.position_embeddings", config["max_position_embeddings"], width)
        return HeadLayout(
            f"{self.architecture}ForMaskedLM",
            EACH,
            f"{head}.decoder",
            dense=dense,
            width=width,
            activation=config["hidden_act"],
            norm=norm,
            norm_eps=config["layer_norm_eps"],
            tied_to=f"{self.prefix}.embeddings.word_embeddings",
            added=head,
            base=(dense, norm, *([table.path] if enhanced else [])),
            states="decoded_states" if enhanced else "states",
            table=table if enhanced else None,
        )

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """Another attention, and entries that ``transformers`` reads otherwise."""
        hidden, heads = config["hidden_size"], config["num_attention_heads"]
        if not config["relative_attention"]:
            yield (
                f"relative_attention must be true, since attention of contents alone is BERT's; received "
                f"{config['relative_attention']!r}. A new network is DeBERTa's with {self.RELATIVE}"
            )
        try:
            pos_att_types(config)
        except ValueError as error:
            yield str(error)
        for entry, wanted in (("pooler_hidden_size", hidden), ("attention_head_size", hidden // heads)):
            if config.get(entry) not in (None, wanted):
                yield f"{entry} must be {wanted}, as the sizes of the layers say; received {config[entry]!r}"
        width = config.get("embedding_size")
        if width is not None and (isinstance(width, bool) or not isinstance(width, int) or width < 1):
            yield f"embedding_size must be greater than 0; received {width!r}"
        if not config["legacy"] and width not in (None, hidden):
            yield (
                f"embedding_size must be hidden_size where legacy is false, since the masked head has no other; received "
                f"{width!r} and {hidden}"
            )
        if config["enhanced_mask_decoder"] and (config["position_biased_input"] or width not in (None, hidden)):
            yield (
                "enhanced_mask_decoder needs position_biased_input: false and embedding_size = hidden_size, since absolute "
                f"positions are added to hidden states; received {config['position_biased_input']!r} and {width!r}"
            )
        if config.get("talking_head"):
            yield f"talking_head must be false; received {config['talking_head']!r}"

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """One for each row of the position table; relative positions beyond the last row are that row's."""
        absolute = config["position_biased_input"] or config.get("enhanced_mask_decoder")
        return config["max_position_embeddings"] if absolute else None

    def padded(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The word embeddings."""
        return (f"{self.prefix}.embeddings.word_embeddings",)

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """The biases of an attention start at 0 as well."""
        if name in module.biases():
            return np.zeros(shape, np.float32)
        return super().initial(module, name, shape, config, seed)

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """With both kinds of relative positions."""
        return super().tiny(**sizes) | self.RELATIVE


def _positions(path: str, rows: int, width: int) -> ModuleSpec:
    return ModuleSpec(path, EMBEDDING, rows, width, bias=False, arguments="positions")


MEMBER = Deberta()
