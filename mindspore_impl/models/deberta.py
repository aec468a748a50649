"""Mirrors pytorch_impl.models.deberta; differs: native cells that load the same Hugging Face weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from mindspore_impl.blocks.activation import lacking
from mindspore_impl.blocks.disentangled import DisentangledAttention, reordered
from mindspore_impl.blocks.disentangled_encoder import (
    DisentangledEncoder,
    decoded_states,
    first_states,
    hidden_states,
    states,
)
from mindspore_impl.layers.modules import Linear, parameter

__all__ = ["backbone", "decoded_states", "first_states", "hidden_states", "states"]

_bias_add = ops.BiasAdd()


class FusedAttention(DisentangledAttention):
    """One projection interleaved by head, with biases of query and value alone."""

    def __init__(self, path: str, config: Mapping[str, Any]):
        super().__init__(path, config, True)
        hidden = config["hidden_size"]
        self.in_proj = Linear(f"{path}.in_proj", hidden, 3 * hidden, bias=False)
        self.q_bias: Parameter = parameter(f"{path}.q_bias", hidden)
        self.v_bias: Parameter = parameter(f"{path}.v_bias", hidden)
        self.no_bias = Tensor(np.zeros(hidden, np.float32))
        self.pos_proj = Linear(f"{path}.pos_proj", hidden, hidden, bias=False) if self.c2p else None
        self.pos_q_proj = Linear(f"{path}.pos_q_proj", hidden, hidden) if self.p2c else None

    def contents(self, x, read):
        """Query, key and value, heads first."""
        parts = self.parts(x)
        query = parts[0] if read is None else self.parts(read)[0]
        return query, parts[1], parts[2]

    def parts(self, x):
        """``(tokens, hidden)`` to query, key and value, ``(3, heads * tokens, width)``."""
        tokens, sizes = x.shape[0], (self.heads, 1, self.width)
        biases = [ops.reshape(bias, sizes) for bias in (self.q_bias, self.no_bias, self.v_bias)]
        fused = _bias_add(self.in_proj(x), ops.reshape(ops.concat(biases, 1), (-1,)))
        rows = reordered(ops.reshape(fused, (-1, self.width)), (tokens, self.heads, 3), (2, 1, 0))
        return ops.reshape(rows, (3, self.heads * tokens, self.width))

    def position_keys(self, table):
        """Of the middle of the table."""
        return self.pos_proj(table)

    def position_queries(self, table):
        """Of the middle of the table."""
        return self.pos_q_proj(table)


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Which of ``config`` the cells do not have; None where they have all."""
    return lacking(config, "hidden_act") or lacking(config, "pooler_hidden_act")


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The encoder, its parameters zero, to be filled by the caller."""
    return DisentangledEncoder(config, FusedAttention, "deberta")
