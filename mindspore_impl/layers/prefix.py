"""Mirrors pytorch_impl.layers.prefix; differs: keys and values go to the native cells as one tensor ``past``."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl import functional as F
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["Prefix", "build"]


class Prefix(Wrapper):
    """A frozen table, which it leaves as it is; the network asks it for keys and values."""

    in_sequence = False  #: the hidden states have no positions for them

    def construct(self, ids):
        """Ids ``(...)`` to ``(..., width)``."""
        return self.base_layer(ids)

    def states(self) -> Tensor:
        """Keys and values ``(layers * 2, heads, tokens, width of a head)``."""
        arguments = self.edit.arguments
        if arguments.hidden > 0:
            inner = F.tanh(F.linear(self.prefix_embedding, self.prefix_down_weight, self.prefix_down_bias))
            rows = F.linear(inner, self.prefix_up_weight, self.prefix_up_bias)
        else:
            rows = self.prefix
        parts = ops.reshape(rows, (arguments.tokens, 2 * arguments.layers, arguments.pairs, -1))
        return ops.transpose(parts, (1, 2, 0, 3))

    def extend(self, inputs) -> dict[str, Tensor]:
        """The inputs of a backbone with keys and values, which the attention mask ``(batch, tokens + seq)`` covers."""
        mask, arguments = inputs["attention_mask"], self.edit.arguments
        before = ops.full((mask.shape[0], arguments.tokens), 1, dtype=ms.int32)
        extended = {"input_ids": inputs["input_ids"], "past": self.states()}
        fields = arguments.fields
        for index in range(len(fields)):
            name = fields[index][0]
            extended[name] = inputs[name]
        extended["attention_mask"] = ops.concat((before, mask), 1)
        return extended


build = Prefix
