"""Recurrent layers over padded sequences, with torch's own kernels, names and numbers.

Every layer of ``x`` ``(batch, seq, width)`` reads the first ``lengths`` ``(batch,)`` positions of each row, in both
directions where it has two, and gives zeros at the others: what torch gives for packed sequences.

Variational dropout (Gal and Ghahramani 2016) uses one mask at all positions: of what every layer but the first gets,
one for each row; of what a layer gets from its own previous position, one for the whole batch, since it is then a mask
of the columns of ``weight_hh``, which the kernels need not know of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from pytorch_impl.layers.dropout import Dropout

__all__ = ["GRU", "LSTM", "RNN", "VariationalDropout", "cell"]


class VariationalDropout(nn.Module):
    """y = x m / (1 - p) while training, with a mask m for each row that is the same at all its positions. ``(batch,
    seq, width)`` to the same."""

    def __init__(self, path: str, p: float):
        super().__init__()
        self.dropout = Dropout(f"{path}.dropout", p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The masked and scaled ``x``."""
        mask = self.dropout.mask((x.shape[0], x.shape[2]))
        return x if mask is None else x * mask.factor(x[:, 0])[:, None]


class _Layers(nn.Module):
    """Layers of one kind of cell. Parameters are named as torch's, and those of a layer follow each other.

    Args:
        path: of the module in its network, by which dropout is masked.
        dropout: probability between layers.
        recurrent_dropout: probability of what a layer gets from its previous position.
    """

    gates, states = 1, 1
    function: Callable[..., Any] = torch.rnn_tanh

    def __init__(
        self,
        path: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ):
        super().__init__()
        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = hidden_size * len(self.suffixes) if layer else input_size
            drop = VariationalDropout(f"{path}.dropout_l{layer}", dropout if layer else 0.0)
            setattr(self, f"dropout_l{layer}", drop)
            for suffix in self.suffixes:
                name = f"l{layer}{suffix}"
                setattr(self, f"weight_ih_{name}", nn.Parameter(torch.zeros(rows, width)))
                setattr(self, f"weight_hh_{name}", nn.Parameter(torch.zeros(rows, hidden_size)))
                setattr(self, f"bias_ih_{name}", nn.Parameter(torch.zeros(rows)))
                setattr(self, f"bias_hh_{name}", nn.Parameter(torch.zeros(rows)))
                setattr(self, f"recurrent_{name}", Dropout(f"{path}.recurrent_{name}", recurrent_dropout))

    def forward(self, x: torch.Tensor, lengths: torch.Tensor, hx: Any = None) -> tuple[torch.Tensor, Any]:
        """Outputs ``(batch, seq, directions * hidden)``, and the state after each row's last position.

        Args:
            hx: the state before the first position: ``(layers * directions, batch, hidden)``, of an LSTM two of them;
                zeros where it is None.
        """
        states = self._start(x) if hx is None else hx if isinstance(hx, tuple) else (hx,)
        ends = []
        for layer in range(self.num_layers):
            part = slice(layer * len(self.suffixes), (layer + 1) * len(self.suffixes))
            x = getattr(self, f"dropout_l{layer}")(x)
            x, end = self._layer(x, lengths, tuple(state[part] for state in states), layer)
            ends.append(end)
        final = tuple(torch.cat(parts) for parts in zip(*ends, strict=True))
        return x, final if self.states > 1 else final[0]

    def _start(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        shape = (self.num_layers * len(self.suffixes), x.shape[0], self.hidden_size)
        return (x.new_zeros(shape),) * self.states

    def _layer(
        self, x: torch.Tensor, lengths: torch.Tensor, states: tuple[torch.Tensor, ...], layer: int
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states = tuple(state.index_select(1, packed.sorted_indices) for state in states)
        given = states if self.states > 1 else states[0]
        # cuDNN keeps what a backward pass needs where it trains; there is no dropout of its own that would differ
        settings = (True, 1, 0.0, torch.is_grad_enabled(), len(self.suffixes) > 1)
        data, *ends = type(self).function(packed.data, packed.batch_sizes, given, self._weights(layer), *settings)
        found = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        outputs, _ = pad_packed_sequence(found, batch_first=True, total_length=x.shape[1])
        return outputs, tuple(end.index_select(1, packed.unsorted_indices) for end in ends)

    def _weights(self, layer: int) -> list[torch.Tensor]:
        found = []
        for suffix in self.suffixes:
            name = f"l{layer}{suffix}"
            weight = getattr(self, f"weight_hh_{name}")
            mask = getattr(self, f"recurrent_{name}").mask((1, self.hidden_size))
            if mask is not None:
                weight = weight * mask.factor(weight[:1])
            found += [getattr(self, f"weight_ih_{name}"), weight]
            found += [getattr(self, f"bias_ih_{name}"), getattr(self, f"bias_hh_{name}")]
        return found


class RNN(_Layers):
    """Elman's network: h = tanh(W x + b + U h + c)."""


class LSTM(_Layers):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), whose state is ``(h, c)``."""

    gates, states = 4, 2
    function = torch.lstm


class GRU(_Layers):
    """Gated recurrent units, the reset gate behind the product (Cho et al. 2014)."""

    gates = 3
    function = torch.gru


def cell(name: str) -> Callable[..., nn.Module]:
    """The layers of a kind of cell, see `common.models.recurrence.CELLS`."""
    return {"tanh": RNN, "lstm": LSTM, "gru": GRU}[name]
