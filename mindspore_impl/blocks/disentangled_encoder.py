"""DeBERTa's encoder: embeddings, layers around an attention that is given, and the enhanced mask decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from common.models.relative import normed, span_of
from mindspore_impl import functional as F
from mindspore_impl.adversarial import perturbation_of, perturbed
from mindspore_impl.blocks.disentangled import Table, pair_mask
from mindspore_impl.blocks.transformer import EncoderLayer
from mindspore_impl.fused import spread
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import Embedding, LayerNorm, Linear

__all__ = ["DisentangledEncoder", "decoded_states", "first_states", "hidden_states", "states"]

WHOLE, FIRST, DECODED = 0, 1, 2  #: what an encoder gives; numbers, since graphs compare them

_STEPS = 2  # applications of the last layer by the enhanced mask decoder


class DisentangledEmbeddings(nn.Cell):
    """The sum of words and, where there are any, absolute positions and token types; projection, norm and dropout. What
    stands at padding is 0."""

    def __init__(self, path: str, config: Mapping[str, Any]):
        super().__init__(auto_prefix=False)
        hidden, eps = config["hidden_size"], config["layer_norm_eps"]
        width, positions = config.get("embedding_size") or hidden, config["max_position_embeddings"]
        types, biased = config["type_vocab_size"], config["position_biased_input"]
        self.word = Embedding(f"{path}.word_embeddings", config["vocab_size"], width, config["pad_token_id"])
        self.position = Embedding(f"{path}.position_embeddings", positions, width) if biased else None
        self.token_type = Embedding(f"{path}.token_type_embeddings", types, width) if types else None
        self.projection = Linear(f"{path}.embed_proj", width, hidden, bias=False) if width != hidden else None
        self.norm = LayerNorm(f"{path}.LayerNorm", hidden, eps)
        self.dropout = Dropout(f"{path}.dropout", config["hidden_dropout_prob"])

    def construct(self, input_ids, token_type_ids, kept, perturbation=None):
        """Ids ``(batch, seq)`` to ``(batch * seq, hidden)``; ``kept`` of the same shape is 0 at padding and 1 elsewhere."""
        batch, length = input_ids.shape
        x = self.word(F.reshape(input_ids, (-1,)))
        if self.position is not None:
            x = x + ops.tile(self.position(F.arange(length).astype(ms.int32)), (batch, 1))
        if self.token_type is not None:
            x = x + self.token_type(F.reshape(token_type_ids, (-1,)))
        if self.projection is not None:
            x = self.projection(x)
        return self.dropout(self.norm(perturbed(x, perturbation)) * kept)


class DisentangledEncoder(nn.Cell):
    """Embeddings, the table of relative positions, and layers.

    Args:
        attention: makes one of `mindspore_impl.blocks.disentangled.DisentangledAttention`, of its path and the
            configuration.
        prefix: of every path.
        convolution: of the embeddings, added to the first layer's output; None for none.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        attention: Callable[[str, Mapping[str, Any]], nn.Cell],
        prefix: str,
        convolution: nn.Cell | None = None,
    ):
        super().__init__(auto_prefix=False)
        hidden, eps, self.heads = config["hidden_size"], config["layer_norm_eps"], config["num_attention_heads"]
        self.embeddings = DisentangledEmbeddings(f"{prefix}.embeddings", config)
        self.table = Table(f"{prefix}.encoder.rel_embeddings", 2 * span_of(config), hidden)
        self.table_norm = LayerNorm(f"{prefix}.encoder.LayerNorm", hidden, eps) if normed(config) else None
        self.convolution = convolution
        self.read_positions = None  # absolute ones, of a head
        rest = (config["intermediate_size"], eps, config["hidden_act"], config["hidden_dropout_prob"])
        paths = [f"{prefix}.encoder.layer.{index}" for index in range(config["num_hidden_layers"])]
        layers = [EncoderLayer(path, attention(f"{path}.attention.self", config), hidden, *rest) for path in paths]
        self.layers = nn.CellList(layers, auto_prefix=False)

    @property
    def word(self) -> nn.Cell:
        """The table of words, whose weight a head may share."""
        return self.embeddings.word

    def given(self, input_ids, attention_mask, token_type_ids, perturbation=None):
        """What the layers get: embeddings ``(batch * seq, hidden)``, the mask, the table of relative positions, and what
        is 0 at padding and 1 elsewhere, as wide as the embeddings."""
        width = self.embeddings.norm.weight.shape[0]
        kept = spread(F.reshape(attention_mask.astype(ms.float32), (-1, 1)), width)
        embedded = self.embeddings(input_ids, token_type_ids, kept, perturbation)
        table = self.table.weight if self.table_norm is None else self.table_norm(self.table.weight)
        return embedded, pair_mask(attention_mask, self.heads), table, kept

    def layer(self, index, x, embedded, mask, table, kept):
        """The output of a layer, of the first one with the convolution."""
        found = self.layers[index](x, mask, None, None, table)
        if index > 0 or self.convolution is None:
            return found
        split = (mask.shape[1], mask.shape[2], -1)
        return self.convolution(F.reshape(embedded, split), F.reshape(found, split), F.reshape(kept, split))

    def construct(self, input_ids, attention_mask, token_type_ids, wanted, perturbation=None):
        """The last layer's output, or the first position's alone, or what the enhanced mask decoder makes of that of
        the layer before: the last layer is applied to it twice, with queries that begin with the absolute positions
        added."""
        embedded, mask, table, kept = self.given(input_ids, attention_mask, token_type_ids, perturbation)
        x, last = embedded, len(self.layers) - 1
        for index in range(last):
            x = self.layer(index, x, embedded, mask, table, kept)
        batch, length = input_ids.shape
        if wanted == FIRST and (last > 0 or self.convolution is None):
            read = F.reshape(x, (batch, length, -1))[:, 0]
            return self.layers[last](x, mask[:, :, :1], read, None, table)
        if wanted != DECODED:
            found = self.layer(last, x, embedded, mask, table, kept)
            return F.reshape(found, (batch, length, -1))[:, 0] if wanted == FIRST else found
        queries = x + ops.tile(self.read_positions(F.arange(length).astype(ms.int32)), (batch, 1))
        for _ in range(_STEPS):
            queries = self.layers[last](x, mask, queries, None, table)
        return queries


def states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The last layer's output, ``(batch * seq, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], WHOLE, perturbation_of(batch))


def first_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The first position's output, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], FIRST, perturbation_of(batch))


def decoded_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """What the masked-token head reads where absolute positions enter before it, ``(batch * seq, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], DECODED)


def hidden_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """The embeddings and every layer's output, each ``(batch * seq, hidden)``."""
    embedded, mask, table, kept = model.given(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
    found = [embedded]
    for index in range(len(model.layers)):
        found.append(model.layer(index, found[-1], embedded, mask, table, kept))
    return found
