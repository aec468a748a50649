"""Recurrent layers and cells, step by step, also of packed sequences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mindspore as ms
from mindspore import ops

from mindspore_impl.shims.network import linear
from mindspore_impl.shims.nn import recurrent as steps
from mindspore_impl.torch_api.nn import functional as F
from mindspore_impl.torch_api.nn import init
from mindspore_impl.torch_api.nn.linear import empty_parameter
from mindspore_impl.torch_api.nn.module import Module
from mindspore_impl.torch_api.nn.utils.rnn import PackedSequence
from mindspore_impl.torch_api.tensor import Tensor, raw

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell"]

_KINDS = {"LSTM": (4, 2, steps.LSTM.step), "GRU": (3, 1, steps.GRU.step), "RNN_TANH": (1, 1, steps.RNN.step)}
_RELU = steps.RNN(1, 1, nonlinearity="relu").step


def _kind(mode: str) -> tuple[int, int, Callable[..., Any]]:
    """Blocks of a weight, tensors of a state, and one step."""
    return (1, 1, _RELU) if mode == "RNN_RELU" else _KINDS[mode]


class RNNBase(Module):
    """Layers of one kind of step, in one direction or both."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        if hidden_size <= 0 or num_layers <= 0:
            raise ValueError(f"hidden_size and num_layers must be greater than zero, got {hidden_size}, {num_layers}")
        if proj_size and mode != "LSTM":
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if not 0 <= proj_size < hidden_size:
            raise ValueError("proj_size has to be a positive integer, smaller than hidden_size")
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        self.proj_size = proj_size
        gates, self._states, self._step = _kind(mode)
        rows, given = gates * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            width = given * (1 + bidirectional) if layer else input_size
            for suffix in self._suffixes:
                for name, shape in (
                    ("weight_ih", (rows, width)),
                    ("weight_hh", (rows, given)),
                    ("bias_ih", (rows,)),
                    ("bias_hh", (rows,)),
                    ("weight_hr", (proj_size, hidden_size)),
                ):
                    if proj_size if name == "weight_hr" else bias or not name.startswith("bias"):
                        parameter = empty_parameter(*shape, device=device, dtype=dtype)
                        self.register_parameter(f"{name}_l{layer}{suffix}", parameter)
        self.reset_parameters()

    @property
    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def reset_parameters(self) -> None:
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: weights lie where they are."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Outputs of every step and the last states; of an unpacked, unbatched or packed input."""
        states = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
        states = tuple(state.raw for state in states)
        if isinstance(input, PackedSequence):
            return self._packed(input, states)
        if input.ndim not in (2, 3):
            raise ValueError(f"{self.mode}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )
        single, x = input.ndim == 2, input.raw
        for state in states:
            if state.ndim != input.ndim:
                raise RuntimeError(
                    f"For {'unbatched' if single else 'batched'} {input.ndim}-D input, the states should also be "
                    f"{input.ndim}-D but got a {state.ndim}-D tensor"
                )
        if single:
            x, states = ops.expand_dims(x, 1), tuple(ops.expand_dims(state, 1) for state in states)
        elif self.batch_first:
            x = ops.transpose(x, (1, 0, 2))
        length, batch = x.shape[:2]
        found, ends = self._layers([x[moment] for moment in range(length)], states, batch)
        y = ops.stack(found, 0)
        if single:
            y, ends = y[:, 0], tuple(end[:, 0] for end in ends)
        elif self.batch_first:
            y = ops.transpose(y, (1, 0, 2))
        return Tensor(y), self._final(ends)

    def _final(self, ends: tuple[ms.Tensor, ...]) -> Any:
        return tuple(Tensor(end) for end in ends) if self._states > 1 else Tensor(ends[0])

    def _packed(self, input: PackedSequence, states: tuple[ms.Tensor, ...]) -> Any:
        sizes, data, moments, start = input.batch_sizes.tolist(), input.data.raw, [], 0
        for size in sizes:
            moments.append(data[start : start + size])
            start += size
        if input.sorted_indices is not None:
            order = input.sorted_indices.raw
            states = tuple(ops.gather(state, order, 1) for state in states)
        found, ends = self._layers(moments, states, sizes[0])
        if input.unsorted_indices is not None:
            order = input.unsorted_indices.raw
            ends = tuple(ops.gather(end, order, 1) for end in ends)
        packed = Tensor(ops.cat(found, 0))
        return PackedSequence(packed, input.batch_sizes, input.sorted_indices, input.unsorted_indices), self._final(
            ends
        )

    def _layers(self, x: list[ms.Tensor], given: tuple[ms.Tensor, ...], batch: int) -> tuple[list[ms.Tensor], Any]:
        """Outputs of every step, and the last states ``(layers, batch, hidden)``.

        Args:
            x: the input of every step; of packed sequences the first rows only.
        """
        for place, state in enumerate(given):
            width = self.proj_size if self.proj_size and place == 0 else self.hidden_size
            wanted = (self.num_layers * len(self._suffixes), batch, width)
            if tuple(state.shape) != wanted:
                raise RuntimeError(f"Expected hidden size {wanted}, got {tuple(state.shape)}")
        ends: list[tuple[ms.Tensor, ...]] = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = [F.dropout(Tensor(part), self.dropout, True).raw for part in x]
            both = []
            for suffix in self._suffixes:
                start = tuple(state[len(ends)] for state in given)
                if not start:
                    widths = (self.proj_size or self.hidden_size, self.hidden_size)[: self._states]
                    start = tuple(ops.zeros((batch, width), x[0].dtype) for width in widths)
                outputs, end = self._pass(x, start, f"l{layer}{suffix}", bool(suffix))
                both.append(outputs)
                ends.append(end)
            x = [ops.cat(parts, -1) for parts in zip(*both, strict=True)] if self.bidirectional else both[0]
        return x, tuple(ops.stack([end[number] for end in ends], 0) for number in range(self._states))

    def _pass(
        self, x: list[ms.Tensor], start: tuple[ms.Tensor, ...], name: str, backwards: bool
    ) -> tuple[list[ms.Tensor], tuple[ms.Tensor, ...]]:
        """One layer in one direction. Steps that have fewer rows than others belong to packed sequences: a sequence
        keeps its last state when it ends, and starts later when read backwards."""
        weight_ih, weight_hh, bias_ih, bias_hh, weight_hr = (
            raw(self._parameters.get(f"{part}_{name}"))
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        )
        counts = [part.shape[0] for part in x]
        shares = ops.split(linear(ops.cat(x, 0), weight_ih, bias_ih), counts, 0)
        outputs: list[Any] = [None] * len(x)
        state, finished = start, []
        state = tuple(part[: counts[-1]] for part in start) if backwards else start
        order = range(len(x) - 1, -1, -1) if backwards else range(len(x))
        for moment in order:
            count, held = counts[moment], state[0].shape[0]
            if count < held:
                finished.append(tuple(part[count:] for part in state))
                state = tuple(part[:count] for part in state)
            elif count > held:
                state = tuple(ops.cat((part, begin[held:count]), 0) for part, begin in zip(state, start, strict=True))
            state = self._step(shares[moment], state, weight_hh, bias_hh)
            if weight_hr is not None:  # projections (Sak et al. 2014)
                state = (linear(state[0], weight_hr), *state[1:])
            outputs[moment] = state[0]
        for rest in reversed(finished):
            state = tuple(ops.cat((part, more), 0) for part, more in zip(state, rest, strict=True))
        return outputs, state

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, batch_first={self.batch_first}, bidirectional={self.bidirectional}"


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber 1997): ``(output, (h, c))``."""

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__("LSTM", *arguments, **keywords)


class GRU(RNNBase):
    """Gated recurrent units (Cho et al. 2014): ``(output, h)``."""

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__("GRU", *arguments, **keywords)


class RNN(RNNBase):
    """Elman's network: ``(output, h)``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *arguments: Any,
        **keywords: Any,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, *arguments, **keywords)
        self.nonlinearity = nonlinearity


class _Cell(Module):
    """One step of a layer."""

    def __init__(self, mode: str, input_size: int, hidden_size: int, bias: bool, device: Any, dtype: Any):
        super().__init__()
        gates, self._states, self._step = _kind(mode)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = gates * hidden_size
        self.weight_ih = empty_parameter(rows, input_size, device=device, dtype=dtype)
        self.weight_hh = empty_parameter(rows, hidden_size, device=device, dtype=dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, empty_parameter(rows, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        x = input.raw
        if x.ndim not in (1, 2):
            raise ValueError(f"{type(self).__name__}: Expected input to be 1D or 2D, got {x.ndim}D instead")
        wanted = (*x.shape[:-1], self.hidden_size)
        given = (hx if isinstance(hx, tuple) else (hx,)) if hx is not None else ()
        state = tuple(part.raw for part in given) or (ops.zeros(wanted, x.dtype),) * self._states
        for part in state:
            if tuple(part.shape) != wanted:
                raise RuntimeError(f"{type(self).__name__}: Expected hidden size {wanted}, got {tuple(part.shape)}")
        share = linear(x, self.weight_ih.raw, raw(self.bias_ih))
        found = self._step(share, state, self.weight_hh.raw, raw(self.bias_hh))
        return tuple(Tensor(part) for part in found) if self._states > 1 else Tensor(found[0])

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, bias={self.bias}"


class LSTMCell(_Cell):
    """One step of an LSTM: ``(h, c)``."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__("LSTM", input_size, hidden_size, bias, device, dtype)


class GRUCell(_Cell):
    """One step of a GRU: ``h``."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__("GRU", input_size, hidden_size, bias, device, dtype)


class RNNCell(_Cell):
    """One step of Elman's network: ``h``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity
