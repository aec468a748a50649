"""Mirrors pytorch_impl.decoding; differs: a cache has a static shape and is kept for the next batch of that shape,
since graphs hold on to its memory; a step reads all of its columns, those that are not written yet under the mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from common.backend import EngineSettings
from common.compilation import Compilations
from common.methods.prepending import before, located
from mindspore_impl.rewrite import adapters

__all__ = ["Decoder"]

_KEPT = 8  # caches, with their graphs
_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


class Decoder:
    """Implements `common.backend.Decoder`."""

    def __init__(
        self,
        model: nn.Cell,
        read: nn.Cell,
        settings: EngineSettings,
        capacity: int,
        compilations: Compilations,
        kept: dict[Any, Any] | None,
    ):
        self._model, self._settings, self._virtual = model, settings, model.virtual_ids()
        past = model.past_states()
        self._before = 0 if past is None else past.shape[2]  # columns that hold no tokens
        self._capacity = capacity + len(self._virtual) + self._before
        self._compilations, self._kept = compilations, kept
        self._active = tuple(layer.active for layer in adapters(model).values())  # graphs hold it as a constant
        self._read, self._head = read, model.cached_head(kept)

    def prefill(self, input_ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read prompts, forgetting what was held."""
        input_ids, lengths = before(input_ids, lengths, self._virtual)
        rows, columns = input_ids.shape
        self._model.set_train(False)
        self._cache = self._of(rows)
        self._used, self._lengths = self._before + columns, np.array(lengths, np.int32) + self._before
        padded, places = columns - lengths[:, None], np.arange(self._used) - self._before
        padding = (places >= 0) & (places < padded)
        self._places = located(padded, self._before, self._capacity)
        self._mask = np.full((rows, self._capacity), _NEGATIVE, np.float32)
        self._mask[:, : self._used] = np.where(padding, np.float32(_NEGATIVE), np.float32(0))
        positions = np.maximum(np.arange(columns) - padded, 0) + self._before
        given = (input_ids, positions, (~padding).astype(np.int32), self._slots(np.arange(self._used)))
        return self._cache.prefill(*(Tensor(np.ascontiguousarray(array, np.int32)) for array in given)).asnumpy()

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to every row."""
        self._mask[:, self._used] = 0
        if self._read.window is not None:
            self._mask[self._places <= (self._lengths - self._read.window)[:, None]] = _NEGATIVE
        slots = self._slots(np.arange(self._used, self._used + 1))
        positions = np.minimum(self._lengths, self._read.positions - 1)
        self._used, self._lengths = self._used + 1, self._lengths + 1
        given = (tokens[:, None], positions[:, None], slots)
        integers = (Tensor(np.ascontiguousarray(array, np.int32)) for array in given)
        return self._cache.step(Tensor(self._mask), *integers).asnumpy()

    def reorder(self, source: np.ndarray) -> None:
        """Row r goes on as row ``source[r]`` was."""
        old, self._cache = self._cache, self._of(len(source))
        self._cache.take(old, Tensor(np.array(source, np.int32)))
        self._mask, self._lengths = self._mask[source], self._lengths[source]
        self._places = self._places[source]

    def _slots(self, columns: np.ndarray) -> np.ndarray:
        """Where the keys of these columns of every row and head are in a cache."""
        lines = np.arange(self._cache.rows * self._read.pairs)[:, None]
        return (lines * self._capacity + columns).reshape(-1)

    def _of(self, rows: int) -> _Cache:
        """The cache of this shape. Some are kept; the one that was made first is given up for another."""
        caches = {} if self._kept is None else self._kept.setdefault("caches", {})
        key = (rows, self._capacity, self._active)
        if key not in caches:
            if len(caches) == _KEPT:
                del caches[next(iter(caches))]
            watch = None if self._settings.compile is False else self._compilations.watch
            caches[key] = _Cache(self._head, self._read, rows, self._capacity, watch, self._model)
        return caches[key]


class _Cache:
    """Keys and values of ``rows`` with their graphs."""

    def __init__(
        self,
        head: Callable[[Tensor], Tensor],
        read: nn.Cell,
        rows: int,
        capacity: int,
        watch: Callable[[Callable], Callable] | None,
        model: nn.Cell,
    ):
        self.rows = rows
        shape = (rows * read.pairs * capacity, read.width)
        self._keys, self._values = (
            ParameterTuple(
                [
                    Parameter(Tensor(np.zeros(shape, np.float32)), name=f"cache.{name}.{index}", requires_grad=False)
                    for index in range(len(read.blocks))
                ]
            )
            for name in ("keys", "values")
        )
        functions = _functions(head, read, self._keys, self._values, model)
        self.prefill, self.step, self._take = functions if watch is None else (watch(ms.jit(f)) for f in functions)

    def take(self, old: _Cache, source: Tensor) -> None:
        """Take the rows ``source`` of ``old``, which may be this one."""
        if old is self:
            self._take(source)
            return
        for mine, theirs in ((self._keys, old._keys), (self._values, old._values)):
            for to, of in zip(mine, theirs, strict=True):
                rows = ops.gather(ops.reshape(of, (old.rows, -1)), source, 0)
                ops.assign(to, ops.reshape(rows, to.shape))


def _functions(
    head: Callable[[Tensor], Tensor], read: nn.Cell, keys: ParameterTuple, values: ParameterTuple, model: nn.Cell
) -> tuple[Callable, Callable, Callable]:
    """Prefilling, a step and reordering as closures, since graphs cannot hold a decoder's ``self``."""
    heads = read.heads

    def prefill(input_ids, positions, attention_mask, slots):
        mask = read.mask(attention_mask, attention_mask.shape[1] - input_ids.shape[1])
        return head(read.cached(input_ids, positions, mask, keys, values, slots, False, model.past_states()))

    def step(mask, input_ids, positions, slots):
        rows, capacity = mask.shape
        mask = ops.tile(ops.reshape(mask, (rows, 1, 1, capacity)), (1, heads, 1, 1))
        return head(read.cached(input_ids, positions, mask, keys, values, slots, True))

    def take(source):
        rows = source.shape[0]
        for index in range(len(keys)):
            for parameter in (keys[index], values[index]):
                taken = ops.gather(ops.reshape(parameter, (rows, -1)), source, 0)
                ops.assign(parameter, ops.reshape(taken, parameter.shape))
        return source

    return prefill, step, take
