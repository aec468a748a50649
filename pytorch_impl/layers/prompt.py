"""Virtual tokens before a sequence of words: ids from the vocabulary's size on are the rows of a trained prompt.

With P ``(tokens, width)`` the prompt and V rows in the table E, the id i gives E_i below V, and P_(i - V) from V on.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pytorch_impl import functional as F
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["Prompt", "build"]

Inputs = Mapping[str, torch.Tensor]


class Prompt(Wrapper):
    """A frozen table behind a prompt. Ids ``(...)`` to ``(..., width)``."""

    in_sequence = True  #: the virtual tokens are positions of the hidden states

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """See the module."""
        if not self.active:
            return self.base_layer(ids)
        rows = self.edit.module.in_features
        y = self.base_layer(ids.clamp(max=rows - 1))
        found = F.embedding((ids - rows).clamp(min=0), self.embeddings())
        return torch.where((ids >= rows).unsqueeze(-1), found.to(y.dtype), y)

    def embeddings(self) -> torch.Tensor:
        """The prompt, ``(tokens, width)``."""
        return self.prompt

    def extend(self, inputs: Inputs) -> dict[str, torch.Tensor]:
        """The inputs of a backbone, ``(batch, seq)`` each, with the virtual tokens before them."""
        ids, arguments = inputs["input_ids"], self.edit.arguments
        virtual = torch.arange(arguments.tokens, device=ids.device) + self.edit.module.in_features
        extended = {"input_ids": torch.cat([virtual.to(ids.dtype).expand(ids.shape[0], -1), ids], 1)}
        for name, value in arguments.fields:
            given = inputs[name]
            extended[name] = torch.cat([given.new_full((given.shape[0], arguments.tokens), value), given], 1)
        return extended


build = Prompt
