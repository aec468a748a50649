"""Mirrors pytorch_impl.layers.p_tuning; differs: graphs unroll the LSTM's steps, which are written down here."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from common.edits import Edit
from mindspore_impl import functional as F
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.prompt import Prompt

__all__ = ["PTuning", "build"]


class PTuning(Prompt):
    """A frozen table behind a prompt with its encoder."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        arguments = edit.arguments
        self.depth = arguments.depth if arguments.encoder == "lstm" else 0
        self.last = 1 if self.depth else 2  # of the MLP's layers
        self.dropouts = nn.CellList(
            [Dropout(f"{edit.path}.encoder_dropout.{layer}", arguments.dropout) for layer in range(self.depth - 1)],
            auto_prefix=False,
        )

    def embeddings(self):
        """The prompt, ``(tokens, width)``."""
        x = self.prompt_embedding
        for layer in range(self.depth):
            given = x if layer == 0 else self.dropouts[layer - 1](x)
            x = ops.concat(
                (self._direction(given, f"l{layer}", False), self._direction(given, f"l{layer}_reverse", True)), 1
            )
        for number in range(self.last + 1):
            x = F.linear(x, getattr(self, f"mlp_{number}_weight"), getattr(self, f"mlp_{number}_bias"))
            x = F.relu(x) if number < self.last else x
        return x

    def _direction(self, x, name, backwards):
        """One LSTM over ``(tokens, in)``; gates are input, forget, cell, output."""
        hidden, tokens = self.edit.arguments.hidden, self.edit.arguments.tokens
        weight, bias = getattr(self, f"lstm_weight_hh_{name}"), getattr(self, f"lstm_bias_hh_{name}")
        shares = F.linear(x, getattr(self, f"lstm_weight_ih_{name}"), getattr(self, f"lstm_bias_ih_{name}"))
        h, c = ops.zeros((1, hidden), ms.float32), ops.zeros((1, hidden), ms.float32)
        found = ()
        for step in range(tokens):
            place = tokens - 1 - step if backwards else step
            i, f, g, o = ops.split(shares[place : place + 1] + F.linear(h, weight, bias), hidden, 1)
            c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
            h = F.sigmoid(o) * F.tanh(c)
            found = (h, *found) if backwards else (*found, h)
        return ops.concat(found, 0)


build = PTuning
