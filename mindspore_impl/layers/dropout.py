"""Mirrors pytorch_impl.layers.dropout; differs: the native cells are made with `Dropout`, and the key is a parameter,
which graphs read anew at every call."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.dropout import counters, limit, step_key

__all__ = ["Dropout", "DropoutKey", "share_key"]


_product, _zeros = ops.MatMul(), ops.ZerosLike()


@ops.constexpr
def _counters(path: str, axis: str, shape: tuple[int, int]) -> Tensor:
    return Tensor(counters(path, axis, math.prod(shape)).reshape(shape))


@ops.constexpr
def _counters_of_heads(path: str, shape: tuple[int, int, int]) -> Tensor:
    heads, batch, queries = shape
    rows = counters(path, "rows", math.prod(shape)).reshape(batch, heads, queries)
    return Tensor(np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(-1, 1))


class DropoutKey:
    """The key of the step that is being computed, shared by every dropout of a model."""

    NAME = "dropout_key"

    def __init__(self, device: str):
        self.value = Parameter(Tensor(np.zeros(1, np.int32)), name=self.NAME, requires_grad=False)

    def set(self, seed: int, step: int, micro_batch: int) -> None:
        """Begin a micro-batch."""
        ops.assign(self.value, Tensor(np.array([step_key(seed, step, micro_batch)], np.int32)))


class Dropout(nn.Cell):
    """y = x m / (1 - p) while training, with the mask m of the module's path and of the key; x otherwise. ``(...,
    width)`` to the same."""

    def __init__(self, path: str, p: float):
        super().__init__(auto_prefix=False)
        self.path, self.p = path, p
        self.least, self.scale = Tensor(limit(p), ms.int32), 1.0 / (1.0 - p)
        self.one = Tensor(1, ms.int32)
        self.on_cpu = ms.get_context("device_target") == "CPU"
        self.key, self.plain = None, ()
        self.heads_first = False  # inputs (heads, batch, ...), whose masks are those of (batch, heads, ...)

    def construct(self, x):
        if not self.training or self.p == 0.0:
            return x
        if "fused" in self.plain:
            return x * self.mask(x.shape)
        return _Masked(self)(x, self.key)[0]

    def mask(self, shape):
        """What an input of ``shape`` is multiplied by, float32: 0 or 1 / (1 - p); None where nothing is dropped."""
        if not self.training or self.p == 0.0:
            return None
        return factors(self, shape, self.key)


def factors(dropout: Dropout, shape, key):
    """`Dropout.mask` under the key that is given, where something is dropped."""
    if dropout.heads_first:
        rows = _keyed(dropout, _counters_of_heads(dropout.path, shape[:-1]), key)
    else:
        rows = _words(dropout, "rows", (math.prod(shape[:-1]), 1), key)
    columns = _words(dropout, "columns", (1, shape[-1]), key)
    products = (
        _product(rows, columns) if dropout.on_cpu else rows * columns
    )  # wrap in either way; a broadcast keeps memory on the CPU, see `fused`
    kept = products >= dropout.least
    return ops.reshape(kept.astype(ms.float32) * dropout.scale, shape)


def _words(dropout: Dropout, axis, shape, key):
    """The counters of an axis under the key, odd."""
    return _keyed(dropout, _counters(dropout.path, axis, shape), key)


def _keyed(dropout: Dropout, numbers, key):
    return ops.bitwise_or(ops.bitwise_xor(numbers, key), dropout.one)


class _Masked(nn.Cell):
    """The input under the mask, which is kept. With its gradient by hand, the compiler need not derive those of all
    that makes a mask."""

    def __init__(self, dropout: Dropout):
        super().__init__(auto_prefix=False)
        self.dropout = dropout

    def construct(self, x, key):
        kept = factors(self.dropout, x.shape, key)
        return x * kept, kept

    def bprop(self, x, key, out, dout):
        return dout[0] * out[1], _zeros(key)


def share_key(model: nn.Cell, device: str) -> DropoutKey:
    """Give every dropout of ``model`` one key, and return it."""
    key = DropoutKey(device)
    for _, cell in model.cells_and_names():
        if isinstance(cell, Dropout):
            cell.key = key.value
    return key
