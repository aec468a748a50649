"""Recurrent layers and cells, step by step: a graph unrolls the steps, so it is compiled for each length. Packed
sequences are left out."""

from __future__ import annotations

import math
from typing import Any

from mindspore import Tensor, ops

from mindspore_impl.shims.activation import tanh
from mindspore_impl.shims.checks import check_shape
from mindspore_impl.shims.network import dropout, linear
from mindspore_impl.shims.nn.base import Module, uniform
from mindspore_impl.shims.pointwise import fine

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


def _sigmoid(x: Tensor) -> Tensor:
    """Through float64: the float32 kernel's error depends on how many threads it takes."""
    return ops.sigmoid(fine(x)).astype(x.dtype)


def _lstm(x: Tensor, state: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    """One step from the input's share of the gates: input, forget, cell, output (Hochreiter and Schmidhuber 1997)."""
    h, c = state
    i, f, g, o = ops.split(x + linear(h, weight, bias), c.shape[-1], -1)
    c = _sigmoid(f) * c + _sigmoid(i) * tanh(g)
    return _sigmoid(o) * tanh(c), c


def _gru(x: Tensor, state: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    """Gates: reset, update, new; the reset gate acts after the product (Cho et al. 2014, in cuDNN's form)."""
    h = state[0]
    xr, xz, xn = ops.split(x, h.shape[-1], -1)
    hr, hz, hn = ops.split(linear(h, weight, bias), h.shape[-1], -1)
    n = tanh(xn + _sigmoid(xr + hr) * hn)
    return (n + _sigmoid(xz + hz) * (h - n),)


def _tanh(x: Tensor, state: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    return (tanh(x + linear(state[0], weight, bias)),)


def _relu(x: Tensor, state: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    return (ops.relu(x + linear(state[0], weight, bias)),)


class _Layers(Module):
    """Layers of one kind of step, in one direction or both. ``gates``: blocks of a weight; ``states``: tensors of a
    state."""

    gates, states, step = 1, 1, staticmethod(_tanh)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ):
        super().__init__()
        if proj_size and self.states < 2:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        self.hidden_size, self.num_layers, self.bias = hidden_size, num_layers, bias
        self.proj_size, width_of_h = proj_size, proj_size or hidden_size
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        bound, rows = 1.0 / math.sqrt(hidden_size), self.gates * hidden_size
        for layer in range(num_layers):
            width = width_of_h * len(self.suffixes) if layer else input_size
            for suffix in self.suffixes:
                setattr(self, f"weight_ih_l{layer}{suffix}", uniform(bound, rows, width))
                setattr(self, f"weight_hh_l{layer}{suffix}", uniform(bound, rows, width_of_h))
                if proj_size:
                    setattr(self, f"weight_hr_l{layer}{suffix}", uniform(bound, proj_size, hidden_size))
                if bias:
                    setattr(self, f"bias_ih_l{layer}{suffix}", uniform(bound, rows))
                    setattr(self, f"bias_hh_l{layer}{suffix}", uniform(bound, rows))

    def construct(self, input: Tensor, hx: Any = None) -> Any:
        if input.ndim not in (2, 3):
            raise ValueError(
                f"a recurrent layer: an input of 2 axes, or 3 with a batch, is needed; received {input.shape}."
            )
        single = input.ndim == 2
        x = (
            ops.expand_dims(input, 1) if single else ops.transpose(input, (1, 0, 2)) if self.batch_first else input
        )  # (length, batch, width)
        given = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
        given = tuple([ops.expand_dims(state, 1) if single else state for state in given])
        self.check(x, given)
        ends = ()
        for layer in range(self.num_layers):
            if layer > 0:
                x = dropout(x, self.dropout, self.training)
            outputs = ()
            for suffix in self.suffixes:
                outputs += (self.pass_over(x, given, layer, suffix, len(ends)),)
                ends += (outputs[-1][1],)
            x = ops.cat([output for output, _ in outputs], -1) if self.bidirectional else outputs[0][0]
        final = tuple([ops.stack([end[number] for end in ends], 0) for number in range(self.states)])
        if single:
            x, final = x[:, 0], tuple([state[:, 0] for state in final])
        elif self.batch_first:
            x = ops.transpose(x, (1, 0, 2))
        return x, final if self.states > 1 else final[0]

    def check(self, x: Tensor, given: tuple[Tensor, ...]) -> None:
        """Refuse a state of another number of layers, batch or width, which would be broadcast."""
        layers = self.num_layers * len(self.suffixes)
        for number in range(len(given)):
            width = self.hidden_size if number > 0 or self.proj_size == 0 else self.proj_size
            check_shape("a recurrent layer", "the state", given[number], (layers, x.shape[1], width))

    def start(self, batch: int, x: Tensor) -> tuple[Tensor, ...]:
        """A state of zeros."""
        h = ops.zeros((batch, self.proj_size or self.hidden_size), x.dtype)
        return (h, ops.zeros((batch, self.hidden_size), x.dtype)) if self.states > 1 else (h,)

    def pass_over(self, x: Tensor, given: tuple[Tensor, ...], layer: int, suffix: str, number: int) -> Any:
        """Outputs ``(length, batch, hidden)`` and the last state of one layer in one direction."""
        length, batch, _ = x.shape
        weight = getattr(self, f"weight_hh_l{layer}{suffix}")
        bias = getattr(self, f"bias_hh_l{layer}{suffix}") if self.bias else None
        shares = linear(
            x,
            getattr(self, f"weight_ih_l{layer}{suffix}"),
            getattr(self, f"bias_ih_l{layer}{suffix}") if self.bias else None,
        )
        state = tuple([part[number] for part in given]) if given else self.start(batch, x)
        project = getattr(self, f"weight_hr_l{layer}{suffix}") if self.proj_size else None
        steps = []
        for moment in range(length):
            state = self.step(shares[length - 1 - moment if suffix else moment], state, weight, bias)
            if project is not None:
                state = (linear(state[0], project), state[1])
            steps.append(state[0])
        return ops.stack(steps[::-1] if suffix else steps, 0), state


class LSTM(_Layers):
    """Long short-term memory; ``(output, (h, c))``. nn.LSTM has no unbatched input."""

    gates, states, step = 4, 2, staticmethod(_lstm)


class GRU(_Layers):
    """Gated recurrent units; ``(output, h)``."""

    gates, step = 3, staticmethod(_gru)


class RNN(_Layers):
    """Elman's network; ``(output, h)``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size)
        self.step = {"tanh": _tanh, "relu": _relu}[nonlinearity]


class _OneStep(Module):
    """One step of a layer."""

    gates, states, step = 1, 1, staticmethod(_tanh)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        bound, rows = 1.0 / math.sqrt(hidden_size), self.gates * hidden_size
        self.hidden_size = hidden_size
        self.weight_ih, self.weight_hh = uniform(bound, rows, input_size), uniform(bound, rows, hidden_size)
        self.bias_ih, self.bias_hh = (uniform(bound, rows), uniform(bound, rows)) if bias else (None, None)

    def construct(self, input: Tensor, hx: Any = None) -> Any:
        if input.ndim not in (1, 2):
            raise ValueError(
                f"a recurrent cell: an input of 1 axis, or 2 with a batch, is needed; received {input.shape}."
            )
        zeros = ops.zeros((*input.shape[:-1], self.hidden_size), input.dtype)
        state = (zeros,) * self.states if hx is None else hx if isinstance(hx, tuple) else (hx,)
        for part in state:
            check_shape("a recurrent cell", "the state", part, zeros.shape)
        state = self.step(linear(input, self.weight_ih, self.bias_ih), state, self.weight_hh, self.bias_hh)
        return state if self.states > 1 else state[0]


class LSTMCell(_OneStep):
    """One step of an LSTM; ``(h, c)``."""

    gates, states, step = 4, 2, staticmethod(_lstm)


class GRUCell(_OneStep):
    """One step of a GRU; ``h``."""

    gates, step = 3, staticmethod(_gru)


class RNNCell(_OneStep):
    """One step of Elman's network; ``h``."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"):
        super().__init__(input_size, hidden_size, bias)
        self.step = {"tanh": _tanh, "relu": _relu}[nonlinearity]
