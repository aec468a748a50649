"""Mirrors pytorch_impl.layers.prompt; differs: ids may be flat, and nothing is broadcast."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl import functional as F
from mindspore_impl.fused import spread
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["Prompt", "build"]


class Prompt(Wrapper):
    """A frozen table behind a prompt. Ids ``(...)`` to ``(..., width)``."""

    in_sequence = True  #: the virtual tokens are positions of the hidden states

    def construct(self, ids):
        if not self.active:
            return self.base_layer(ids)
        rows, width = self.edit.module.in_features, self.edit.module.out_features
        flat = F.reshape(ids, (-1,))
        y = self.base_layer(ops.minimum(flat, rows - 1))
        found = ops.gather(self.embeddings(), ops.maximum(flat - rows, 0), 0)
        virtual = spread(F.reshape((flat >= rows).astype(ms.float32), (-1, 1)), width)
        return F.reshape(y * (1.0 - virtual) + found * virtual, (*ids.shape, width))

    def embeddings(self) -> Tensor:
        """The prompt, ``(tokens, width)``."""
        return self.prompt

    def extend(self, inputs) -> dict[str, Tensor]:
        """The inputs of a backbone, ``(batch, seq)`` each, with the virtual tokens before them."""
        ids, tokens, rows = inputs["input_ids"], self.edit.arguments.tokens, self.edit.module.in_features
        batch, fields = ids.shape[0], self.edit.arguments.fields
        virtual = F.reshape(F.arange(tokens).astype(ms.int32) + rows, (1, tokens))
        extended = {"input_ids": ops.concat((ops.tile(virtual, (batch, 1)), ids), 1)}
        for index in range(len(fields)):
            name, value = fields[index]
            extended[name] = ops.concat((ops.full((batch, tokens), value, dtype=ms.int32), inputs[name]), 1)
        return extended


build = Prompt
