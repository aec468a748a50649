"""Mirrors pytorch_impl.layers.recurrent; differs: nothing is packed. What is read backwards is a gather of rows that
turns each sequence round within its own length, so that padding always comes last and reaches no real position.

An LSTM is MindSpore's fused kernel. It has none with a gradient for the other cells, and a loop over positions that is
unrolled is compiled for seconds at each length (docs/networks.md has the measurements). Theirs is a loop of the graph,
with a hand-written backward pass: the slopes of all positions are computed at once, and only what a state passes back
to the one before it is a loop again.
"""

from __future__ import annotations

from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from mindspore_impl import functional as F
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import parameter

__all__ = ["GRU", "LSTM", "RNN", "VariationalDropout", "cell"]

_product, _product_of_transposed = ops.MatMul(), ops.MatMul(transpose_b=True)
_gradient_of_weight, _bias_add = ops.MatMul(transpose_a=True), ops.BiasAdd()
_parts, _zeros = ops.Split(1, 3), ops.ZerosLike()
_SHUT = 1e4  # its sigmoid is 1, and that of its negative 0


@ops.constexpr
def _places(batch: int, length: int) -> Tensor:
    return Tensor(np.tile(np.arange(length, dtype=np.int32), (batch, 1)))


@ops.constexpr
def _rows(batch: int, length: int) -> Tensor:
    return Tensor(np.repeat(np.arange(batch, dtype=np.int32)[:, None], length, 1))


@ops.constexpr
def _closing(hidden: int) -> Tensor:
    """What padding adds to the gates of an LSTM, ``(4 * hidden, 1)``: nothing comes in, and the cell keeps what it
    has."""
    gates = np.repeat(np.array([-_SHUT, _SHUT, 0.0, 0.0], np.float32), hidden)
    return Tensor(gates[:, None])


class VariationalDropout(nn.Cell):
    """y = x m / (1 - p) while training, with a mask m for each row that is the same at all its positions. ``(batch,
    seq, width)`` to the same."""

    def __init__(self, path: str, p: float):
        super().__init__()
        self.dropout = Dropout(f"{path}.dropout", p)

    def construct(self, x):
        """The masked and scaled ``x``."""
        batch, length, width = x.shape
        mask = self.dropout.mask((batch, width))
        return x if mask is None else x * ops.tile(F.reshape(mask, (batch, 1, width)), (1, length, 1))


class _Reordered(nn.Cell):
    """Rows in another order, each once."""

    def construct(self, x, order, back):
        return ops.gather(x, order, 0)

    def bprop(self, x, order, back, out, dout):
        return ops.gather(dout, back, 0), _zeros(order), _zeros(back)


class _Loop(nn.Cell):
    """States ``(seq, batch, hidden)`` from the input's shares of the gates ``(seq, batch, gates * hidden)``."""

    gates = 1

    def construct(self, shares, weight, bias, state):
        length, batch, _ = shares.shape
        hidden = state.shape[1]
        found = ops.zeros((length, batch, hidden), state.dtype)
        place = Tensor(0, ms.int32)
        while place < length:
            recurrent = _bias_add(_product_of_transposed(state, weight), bias)
            state = self.step(ops.gather(shares, place, 0), recurrent, state)
            found = ops.tensor_scatter_update(found, F.reshape(place, (1, 1)), ops.expand_dims(state, 0))
            place = place + 1
        return found

    def bprop(self, shares, weight, bias, state, out, dout):
        length, batch, width = shares.shape
        hidden = state.shape[1]
        before = F.reshape(ops.cat((ops.expand_dims(state, 0), out[:-1]), 0), (length * batch, hidden))
        recurrent = _bias_add(_product_of_transposed(before, weight), bias)
        states = F.reshape(out, (length * batch, hidden))
        kept, slopes, inputs = self.slopes(F.reshape(shares, (length * batch, width)), recurrent, before, states)
        kept = F.reshape(kept, (length, batch, hidden))
        by_place = F.reshape(slopes, (length, batch, width))
        found = ops.zeros((length, batch, hidden), state.dtype)
        gradient = ops.zeros((batch, hidden), state.dtype)
        place = Tensor(length - 1, ms.int32)
        while place >= 0:
            gradient = gradient + ops.gather(dout, place, 0)
            found = ops.tensor_scatter_update(found, F.reshape(place, (1, 1)), ops.expand_dims(gradient, 0))
            through = ops.tile(gradient, (1, self.gates)) * ops.gather(by_place, place, 0)
            gradient = gradient * ops.gather(kept, place, 0) + _product(through, weight)
            place = place - 1
        repeated = ops.tile(F.reshape(found, (length * batch, hidden)), (1, self.gates))
        through = repeated * slopes
        of_shares = F.reshape(repeated * inputs, shares.shape)
        return of_shares, _gradient_of_weight(through, before), through.sum(0), gradient


class _Tanh(_Loop):
    """h = tanh(share + U h + c)."""

    def step(self, share, recurrent, state):
        return F.tanh(share + recurrent)

    def slopes(self, shares, recurrent, before, states):
        """Of a state: by the state before as it stands, by U h + c, and by the share."""
        slope = 1.0 - states * states
        return _zeros(states), slope, slope


class _Gru(_Loop):
    """Gates: reset, update, new; the reset gate acts behind the product."""

    gates = 3

    def step(self, share, recurrent, state):
        _, update, new = self.values(share, recurrent)
        return new + update * (state - new)

    def values(self, share, recurrent):
        given, held = _parts(share), _parts(recurrent)
        reset, update = F.sigmoid(given[0] + held[0]), F.sigmoid(given[1] + held[1])
        return reset, update, F.tanh(given[2] + reset * held[2])

    def slopes(self, shares, recurrent, before, states):
        """As of `_Tanh`."""
        reset, update, new = self.values(shares, recurrent)
        of_new = (1.0 - update) * (1.0 - new * new)
        of_reset = of_new * _parts(recurrent)[2] * reset * (1.0 - reset)
        of_update = (before - new) * update * (1.0 - update)
        both = (of_reset, of_update)
        return update, ops.cat((*both, of_new * reset), 1), ops.cat((*both, of_new), 1)


class _Layers(nn.Cell):
    """Layers of one kind of cell. Parameters are named as torch's, and those of a layer follow each other."""

    gates, states = 1, 1

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
        self.reordered = _Reordered()
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = hidden_size * len(self.suffixes) if layer else input_size
            drop = VariationalDropout(f"{path}.dropout_l{layer}", dropout if layer else 0.0)
            setattr(self, f"dropout_l{layer}", drop)
            for suffix in self.suffixes:
                name = f"l{layer}{suffix}"
                setattr(self, f"weight_ih_{name}", parameter(f"weight_ih_{name}", rows, width))
                setattr(self, f"weight_hh_{name}", parameter(f"weight_hh_{name}", rows, hidden_size))
                setattr(self, f"bias_ih_{name}", parameter(f"bias_ih_{name}", rows))
                setattr(self, f"bias_hh_{name}", parameter(f"bias_hh_{name}", rows))
                setattr(self, f"recurrent_{name}", Dropout(f"{path}.recurrent_{name}", recurrent_dropout))

    def construct(self, x, lengths, hx=None):
        """Outputs ``(batch, seq, directions * hidden)``, and the state after each row's last position."""
        batch, length, _ = x.shape
        lengths = F.reshape(lengths.astype(ms.int32), (-1, 1))
        places, rows, ends = _places(batch, length), _rows(batch, length), ops.tile(lengths, (1, length))
        real = (places < ends).astype(ms.int32)
        turned = real * (ends - 1 - places) + (1 - real) * places
        last = F.reshape((lengths - 1) * batch + rows[:, :1], (-1,))
        padding = F.reshape(ops.transpose(1 - real, (1, 0)), (length, batch, 1)).astype(x.dtype)
        orders = ()
        for suffix in self.suffixes:
            order = turned if suffix else places
            forth = F.reshape(ops.transpose(rows * length + order, (1, 0)), (-1,))
            orders += ((forth, F.reshape(order * batch + rows, (-1,))),)
        mask, found = F.reshape(real, (-1, 1)).astype(x.dtype), ()
        for layer in range(self.num_layers):
            x = getattr(self, f"dropout_l{layer}")(x)
            outputs = ()
            for number in range(len(self.suffixes)):
                forth, back = orders[number]
                given = F.reshape(self.reordered(F.reshape(x, (batch * length, -1)), forth, back), (length, batch, -1))
                start = self.start(hx, layer * len(self.suffixes) + number, batch, x)
                states, end = self._run(given, padding, start, last, f"l{layer}{self.suffixes[number]}")
                states = self.reordered(F.reshape(states, (length * batch, self.hidden_size)), back, forth)
                outputs += (states * ops.tile(mask, (1, self.hidden_size)),)
                found += (end,)
            x = F.reshape(ops.cat(outputs, 1) if len(outputs) > 1 else outputs[0], (batch, length, -1))
        return x, self.final(found)

    def start(self, hx, number, batch, x):
        """The state of a layer in one direction before its first position."""
        if hx is None:
            return (ops.zeros((batch, self.hidden_size), x.dtype),) * self.states
        return (hx[0][number], hx[1][number]) if self.states > 1 else (hx[number],)

    def final(self, found):
        """The state after the last positions, of all layers and directions."""
        if self.states == 1:
            return ops.stack([end[0] for end in found], 0)
        return ops.stack([end[0] for end in found], 0), ops.stack([end[1] for end in found], 0)

    def recurrent_weight(self, name):
        """``weight_hh`` under its mask."""
        weight = getattr(self, f"weight_hh_{name}")
        mask = getattr(self, f"recurrent_{name}").mask((1, self.hidden_size))
        return weight if mask is None else weight * ops.tile(mask, (weight.shape[0], 1))

    def _run(self, x, padding, start, last, name):
        """States ``(seq, batch, hidden)`` of one layer in one direction, and the one at ``last``."""
        length, batch, width = x.shape
        shares = _product_of_transposed(F.reshape(x, (length * batch, width)), getattr(self, f"weight_ih_{name}"))
        shares = F.reshape(_bias_add(shares, getattr(self, f"bias_ih_{name}")), (length, batch, -1))
        states = self.loop(shares, self.recurrent_weight(name), getattr(self, f"bias_hh_{name}"), start[0])
        return states, (ops.gather(F.reshape(states, (length * batch, -1)), last, 0),)


class RNN(_Layers):
    """Elman's network: h = tanh(W x + b + U h + c)."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.loop = _Tanh()


class LSTM(_Layers):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), whose state is ``(h, c)``."""

    gates, states = 4, 2

    def __init__(self, path: str, input_size: int, hidden_size: int, *arguments, **keywords):
        super().__init__(path, input_size, hidden_size, *arguments, **keywords)
        widths = [input_size] + [hidden_size * len(self.suffixes)] * (self.num_layers - 1)
        self.kernels = tuple([ops.LSTM(width + 1, hidden_size, 1, True, False, 0.0) for width in widths])

    def _run(self, x, padding, start, last, name):
        """As of `_Layers`; the kernel knows no lengths, so that padding closes the gates by a further input."""
        length, batch, _ = x.shape
        first = ops.cat((getattr(self, f"weight_ih_{name}"), _closing(self.hidden_size)), 1)
        parts = (
            first,
            self.recurrent_weight(name),
            getattr(self, f"bias_ih_{name}") + getattr(self, f"bias_hh_{name}"),
        )
        weights = F.reshape(ops.cat([F.reshape(part, (-1,)) for part in parts]), (-1, 1, 1))
        kernel = self.kernels[int(name[1:].split("_")[0])]
        h, c = ops.expand_dims(start[0], 0), ops.expand_dims(start[1], 0)
        states, _, cells, _, _ = kernel(ops.cat((x, padding), 2), h, c, weights)
        return states, (ops.gather(F.reshape(states, (length * batch, -1)), last, 0), ops.squeeze(cells, 0))


class GRU(_Layers):
    """Gated recurrent units, the reset gate behind the product (Cho et al. 2014)."""

    gates = 3

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.loop = _Gru()


def cell(name: str) -> Callable[..., nn.Cell]:
    """The layers of a kind of cell, see `common.models.recurrence.CELLS`."""
    return {"tanh": RNN, "lstm": LSTM, "gru": GRU}[name]
