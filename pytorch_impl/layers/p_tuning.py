"""P-tuning (Liu et al. 2021): a prompt that an encoder makes of trained embeddings, as PEFT's ``PromptEncoder``.

X ``(tokens, width)`` are the embeddings. The prompt is W_3 relu(W_2 relu(W_1 X)) or, with an LSTM in both directions,
W_2 relu(W_1 LSTM(X)), every layer with a bias.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from pytorch_impl import functional as F
from pytorch_impl.layers.dropout import Dropout
from pytorch_impl.layers.prompt import Prompt

__all__ = ["PTuning", "build"]


class PTuning(Prompt):
    """A frozen table behind a prompt with its encoder."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        arguments = edit.arguments
        self.depth = arguments.depth if arguments.encoder == "lstm" else 0
        self.last = 1 if self.depth else 2  # of the MLP's layers
        self.dropouts = nn.ModuleList(
            [Dropout(f"{edit.path}.encoder_dropout.{layer}", arguments.dropout) for layer in range(self.depth - 1)]
        )

    def embeddings(self) -> torch.Tensor:
        """The prompt, ``(tokens, width)``."""
        x = self.prompt_embedding
        for layer in range(self.depth):
            x = self._recurrent(x if layer == 0 else self.dropouts[layer - 1](x), layer)
        for number in range(self.last + 1):
            x = F.linear(x, getattr(self, f"mlp_{number}_weight"), getattr(self, f"mlp_{number}_bias"))
            x = F.relu(x) if number < self.last else x
        return x

    def _recurrent(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        """One layer in both directions, ``(tokens, in)`` to ``(tokens, 2 * hidden)``."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        found = [getattr(self, f"lstm_{name}_l{layer}{suffix}") for suffix in ("", "_reverse") for name in names]
        start = x.new_zeros(2, 1, self.edit.arguments.hidden)
        return torch.lstm(x.unsqueeze(0), (start, start), found, True, 1, 0.0, False, True, True)[0][0]


build = PTuning
