"""A transformer's encoder layer: post-norm residuals around an attention that is given and a feed-forward part.

Hidden states stay two-dimensional, ``(batch * seq, hidden)``: one plain matrix product per projection.
"""

from __future__ import annotations

from dataclasses import dataclass

from mindspore import Tensor, nn, ops

from common.dropout import of_turn
from mindspore_impl.blocks.activation import ACTIVATIONS, activate
from mindspore_impl.layers.attention import attention, behind, join_heads, split_heads
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import LayerNorm, Linear, of_layer, padding_mask

__all__ = ["BERT_NAMES", "EncoderLayer", "LayerNames", "SelfAttention", "dropouts", "run_layers", "square_mask"]


@dataclass(frozen=True)
class LayerNames:
    """Paths of a layer's modules and dropouts, relative to the layer's; the defaults are BERT's, which several families
    share. A dropout without a name is one that the family does not have."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    probabilities: str = "attention.self.probabilities"  #: the dropout of the attention's probabilities
    attention_output: str = "attention.output.dense"
    attention_dropout: str | None = "attention.output.dropout"
    attention_norm: str = "attention.output.LayerNorm"
    intermediate: str = "intermediate.dense"
    output: str = "output.dense"
    output_dropout: str | None = "output.dropout"
    output_norm: str = "output.LayerNorm"


BERT_NAMES = LayerNames()


class SelfAttention(nn.Cell):
    """softmax(q k^T / sqrt(width)) v of all heads, without the projection of its output.

    Args:
        path: of the layer.
        dropout: of the probabilities.
        turns: how often a network uses the layer.
    """

    def __init__(
        self, path: str, hidden: int, heads: int, dropout: float, names: LayerNames = BERT_NAMES, turns: int = 1
    ):
        super().__init__(auto_prefix=False)
        self.width, self.plain = hidden // heads, ()
        self.scale = self.width**-0.5
        self.query = Linear(f"{path}.{names.query}", hidden, hidden)
        self.key = Linear(f"{path}.{names.key}", hidden, hidden)
        self.value = Linear(f"{path}.{names.value}", hidden, hidden)
        self.probabilities = dropouts(path, names.probabilities, dropout, turns)

    def construct(self, x, read, mask, past=None, shared=None, turn=0):
        """What every attention of an `EncoderLayer` takes and gives.

        Args:
            x: ``(batch * seq, hidden)``, of which keys and values are made.
            read: ``(batch * queries, hidden)``, of which queries are made; None where that is ``x``.
            mask: additive, ``(batch, heads, queries, seq)``.
            past: keys and values before the sequence, ``(2, heads, tokens, width)``, which the mask covers.
            shared: what is the same in all layers of a network, where its attention needs it.
            turn: which use of the layer it is, counted from 0: each has dropout masks of its own.

        Returns:
            ``(batch * queries, hidden)``.
        """
        query, key, value = self.query(x if read is None else read), self.key(x), self.value(x)
        batch, heads = mask.shape[0], query.shape[1] // self.width  # which may be fewer than those of the mask
        if heads < mask.shape[1]:
            mask = mask[:, :heads]
        query, key, value = (
            split_heads(query, batch, heads),
            split_heads(key, batch, heads),
            split_heads(value, batch, heads),
        )
        if past is not None:
            key, value = behind(past[0], key), behind(past[1], value)
        hand_written = "attention" not in self.plain
        return join_heads(attention(query, key, value, mask, self.scale, self.probabilities[turn], hand_written))


class EncoderLayer(nn.Cell):
    """Attention and feed-forward part, each with dropout, residual and norm (Vaswani et al. 2017, section 3.1).

    Args:
        path: of the layer.
        attention: a cell with the interface of `SelfAttention`.
        inner: width of the feed-forward part.
        eps: of both norms.
        activation: Hugging Face's name of one of `mindspore_impl.blocks.activation`.
        dropout: of what the attention and the feed-forward part add.
        turns: how often a network uses the layer.
    """

    def __init__(
        self,
        path: str,
        attention: nn.Cell,
        hidden: int,
        inner: int,
        eps: float,
        activation: str,
        dropout: float,
        names: LayerNames = BERT_NAMES,
        turns: int = 1,
    ):
        super().__init__(auto_prefix=False)
        self.plain, self.activation = (), ACTIVATIONS[activation]
        self.attention = attention
        self.attention_output = Linear(f"{path}.{names.attention_output}", hidden, hidden)
        self.attention_norm = LayerNorm(f"{path}.{names.attention_norm}", hidden, eps)
        self.intermediate = Linear(f"{path}.{names.intermediate}", hidden, inner)
        self.output = Linear(f"{path}.{names.output}", inner, hidden)
        self.output_norm = LayerNorm(f"{path}.{names.output_norm}", hidden, eps)
        self.attention_dropout = dropouts(path, names.attention_dropout, dropout, turns)
        self.dropout = dropouts(path, names.output_dropout, dropout, turns)

    def construct(self, x, mask, first=None, past=None, shared=None, turn=0):
        """``x`` ``(batch * seq, hidden)`` to the same, or to ``(batch, hidden)`` where the first positions are given as
        ``first``: the others are left out. For the others see `SelfAttention.construct`."""
        mixed = self.attention(x, first, mask, past, shared, turn)
        read = x if first is None else first
        x = self.attention_norm(read + self.attention_dropout[turn](self.attention_output(mixed)))
        inner = activate(self.activation, self.intermediate(x), "fused" in self.plain)
        return self.output_norm(x + self.dropout[turn](self.output(inner)))


def dropouts(path: str, name: str | None, p: float, turns: int = 1) -> nn.CellList:
    """One for each use of a layer at ``path``; a dropout without a name drops nothing."""
    p = 0.0 if name is None else p
    listed = [Dropout(of_turn(f"{path}.{name}", turn), p) for turn in range(turns)]
    return nn.CellList(listed, auto_prefix=False)


def square_mask(attention_mask: Tensor, heads: int, queries: int) -> Tensor:
    """``(batch, seq)`` of 1 and 0 to the additive float32 ``(batch, heads, queries, seq)``."""
    return ops.tile(padding_mask(attention_mask, heads), (1, 1, queries, 1))


def run_layers(layers, x, attention_mask, heads, first, past=None, shared=None, uses=None):
    """Hidden states ``(batch * seq, hidden)`` through all layers.

    Args:
        layers: a list of `EncoderLayer`.
        x: ``(batch * seq, hidden)``.
        attention_mask: ``(batch, tokens + seq)``.
        heads: number of attention heads.
        first: whether the last layer computes the first positions alone, ``(batch, hidden)``.
        past: keys and values of every layer in turn before the sequence, ``(layers * 2, heads, tokens, width)``.
        shared: what the attention of every layer gets besides.
        uses: which layer comes next, and which of its uses it is, counted from 0; None for each layer once.
    """
    batch = attention_mask.shape[0]
    length = x.shape[0] // batch
    of_one = padding_mask(attention_mask, heads)  # (batch, heads, 1, seq)
    mask = ops.tile(of_one, (1, 1, length, 1))
    last = (len(layers) if uses is None else len(uses)) - 1
    for place in range(last):  # a slice would be a new list of cells, which renames their parameters
        index, turn = (place, 0) if uses is None else uses[place]
        x = layers[index](x, mask, None, of_layer(past, place), shared, turn)
    index, turn = (last, 0) if uses is None else uses[last]
    if first:
        read = ops.reshape(x, (batch, length, -1))[:, 0]
        return layers[index](x, of_one, read, of_layer(past, last), shared, turn)
    return layers[index](x, mask, None, of_layer(past, last), shared, turn)
