"""An encoder: embeddings and layers, each of which a family gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from mindspore_impl import functional as F
from mindspore_impl.adversarial import perturbation_of, perturbed
from mindspore_impl.blocks.transformer import (
    BERT_NAMES,
    EncoderLayer,
    LayerNames,
    SelfAttention,
    run_layers,
    square_mask,
)
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import Embedding, LayerNorm, Linear, of_layer, past_of

__all__ = ["Embeddings", "Encoder", "ProjectedEmbeddings", "bert_layers", "first_states", "hidden_states", "states"]


class Embeddings(nn.Cell):
    """The sum of words, absolute positions and, where there are any, token types; norm and dropout.

    Args:
        path: of the embeddings.
        width: of the tables.
        types: number of token types; 0 for a family without.
    """

    def __init__(self, path: str, config: Mapping[str, Any], width: int, types: int, eps: float, dropout: float):
        super().__init__(auto_prefix=False)
        positions, padding = config["max_position_embeddings"], config["pad_token_id"]
        self.word = Embedding(f"{path}.word_embeddings", config["vocab_size"], width, padding)
        self.position = Embedding(f"{path}.position_embeddings", positions, width)
        self.token_type = Embedding(f"{path}.token_type_embeddings", types, width) if types else None
        self.norm = LayerNorm(f"{path}.LayerNorm", width, eps)
        self.dropout = Dropout(f"{path}.dropout", dropout)

    def located(self, input_ids, start):
        """Rows of the position table, ``(batch * seq, width)``; ``start`` positions are before the sequence."""
        batch, length = input_ids.shape
        return ops.tile(self.position(F.arange(length).astype(ms.int32) + start), (batch, 1))

    def construct(self, input_ids, token_type_ids, start, perturbation=None):
        """Ids ``(batch, seq)`` to ``(batch * seq, hidden)``; ``token_type_ids`` are not read where there are no types."""
        x = self.word(F.reshape(input_ids, (-1,)))
        if self.token_type is not None:
            x = x + self.token_type(F.reshape(token_type_ids, (-1,)))
        x = perturbed(x + self.located(input_ids, start), perturbation)
        return self.projected(self.dropout(self.norm(x)))

    def projected(self, x):
        """What the layers get, ``(batch * seq, hidden)``, of ``(batch * seq, width)``: the same."""
        return x


class ProjectedEmbeddings(Embeddings):
    """Tables of ``embedding_size`` of a configuration with BERT's entries, and a linear layer behind their norm.

    Args:
        projection: path of the linear layer, to ``hidden_size``; None where there is none.
    """

    def __init__(self, path: str, config: Mapping[str, Any], projection: str | None):
        width = config["embedding_size"]
        sizes = (width, config["type_vocab_size"], config["layer_norm_eps"], config["hidden_dropout_prob"])
        super().__init__(path, config, *sizes)
        self.projection = None if projection is None else Linear(projection, width, config["hidden_size"])

    def projected(self, x):
        """``(batch * seq, width)`` to ``(batch * seq, hidden)``."""
        return x if self.projection is None else self.projection(x)


class Encoder(nn.Cell):
    """Embeddings and encoder layers.

    Args:
        embeddings: a cell with the interface of `Embeddings`, whose table of words is ``word``.
        layers: cells with the interface of `mindspore_impl.blocks.transformer.EncoderLayer`.
        heads: number of attention heads.
        order: numbers of the layers in the order of their use; each once by default.
    """

    def __init__(self, embeddings: nn.Cell, layers: Sequence[nn.Cell], heads: int, order: Sequence[int] | None = None):
        super().__init__(auto_prefix=False)
        self.heads, self.embeddings = heads, embeddings
        order = range(len(layers)) if order is None else order
        self.uses = tuple((number, list(order[:place]).count(number)) for place, number in enumerate(order))
        self.layers = nn.CellList(list(layers), auto_prefix=False)

    @property
    def word(self) -> nn.Cell:
        """The table of words, whose weight a head may share."""
        return self.embeddings.word

    def embed(self, input_ids, attention_mask, token_type_ids, perturbation=None):
        """``(batch * seq, hidden)``; the mask covers what is before the sequence as well."""
        start = attention_mask.shape[1] - input_ids.shape[1]
        return self.embeddings(input_ids, token_type_ids, start, perturbation)

    def shared(self, input_ids):
        """What the attention of every layer gets besides; most need nothing."""
        return None

    def construct(self, input_ids, attention_mask, token_type_ids, first, past=None, perturbation=None):
        """The last layer's output, of every position or of the ``first`` ones alone; see `run_layers`."""
        x = self.embed(input_ids, attention_mask, token_type_ids, perturbation)
        return run_layers(self.layers, x, attention_mask, self.heads, first, past, self.shared(input_ids), self.uses)


def bert_layers(prefix: str, config: Mapping[str, Any], names: LayerNames = BERT_NAMES) -> list[nn.Cell]:
    """Layers of a configuration with BERT's entries, at ``<prefix>.<number>``."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    found: list[nn.Cell] = []
    for index in range(config["num_hidden_layers"]):
        path = f"{prefix}.{index}"
        attention = SelfAttention(path, hidden, heads, config["attention_probs_dropout_prob"], names)
        inner, eps = config["intermediate_size"], config["layer_norm_eps"]
        rest = (inner, eps, config["hidden_act"], config["hidden_dropout_prob"], names)
        found.append(EncoderLayer(path, attention, hidden, *rest))
    return found


def _types(batch: Mapping[str, Tensor]) -> Tensor:
    """The token types of a batch; those of a family without any, which are not read, are its ids."""
    return batch["token_type_ids"] if "token_type_ids" in batch else batch["input_ids"]


def states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The last layer's output, ``(batch * seq, hidden)``."""
    return model(
        batch["input_ids"], batch["attention_mask"], _types(batch), False, past_of(batch), perturbation_of(batch)
    )


def first_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The first position's output, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], _types(batch), True, None, perturbation_of(batch))


def hidden_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """The embeddings and every layer's output, each ``(batch * seq, hidden)``."""
    past, mask = past_of(batch), batch["attention_mask"]
    found = [model.embed(batch["input_ids"], mask, _types(batch))]
    shared = model.shared(batch["input_ids"])
    square = square_mask(mask, model.heads, batch["input_ids"].shape[1])
    for place, (index, turn) in enumerate(model.uses):
        found.append(model.layers[index](found[-1], square, None, of_layer(past, place), shared, turn))
    return found
