"""Mirrors pytorch_impl.decomposing; differs: a kernel in one dimension is stored with a leading axis of 1, and padding
lists both ends of every axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, nn

from common.decomposition import Chain

__all__ = ["convolutions", "replace"]


def convolutions(model: nn.Cell) -> dict[str, tuple[np.ndarray, int]]:
    """Kernel ``(channels out, channels in a group, *window)`` and groups of every convolution in one or two dimensions, by
    path."""
    found = {}
    for path, cell in model.cells_and_names():
        if type(cell) in (nn.Conv1d, nn.Conv2d):
            kernel = cell.weight.asnumpy().astype(np.float32)
            found[path] = (kernel[:, :, 0] if type(cell) is nn.Conv1d else kernel, cell.group)
    return found


def replace(model: nn.Cell, path: str, chain: Chain) -> None:
    """Put the chain in the place of the convolution at ``path``; its last one has the bias."""
    cells = dict(model.cells_and_names())
    parent, _, leaf = path.rpartition(".")
    cell, holder = cells[path], cells[parent]
    made = [_stage(cell, chain, number) for number in range(len(chain.stages))]
    if cell.has_bias:
        made[-1].bias, made[-1].has_bias = cell.bias, True
    found = nn.SequentialCell(*made).set_train(cell.training)
    for number, stage in enumerate(made):
        stage.weight.name = f"{path}.{number}.weight"
    setattr(holder, leaf, found)
    if isinstance(holder, nn.SequentialCell):
        holder.cell_list = tuple(holder.name_cells().values())


def _stage(cell: nn.Conv1d | nn.Conv2d, chain: Chain, number: int) -> nn.Cell:
    stage = chain.stages[number]
    outputs, inputs, *window = stage.kernel.shape
    carries = chain.carries(number)
    stride, dilation = (values[-len(window) :] for values in (cell.stride, cell.dilation))
    ends = (cell.padding,) * 4 if isinstance(cell.padding, int) else tuple(cell.padding)
    ends = ends[-2 * len(window) :]  # in one dimension left and right, which are equal
    padding = tuple(end if carries[place // 2] else 0 for place, end in enumerate(ends))
    mode = cell.pad_mode if any(carries) else "valid"
    made = type(cell)(
        inputs * stage.groups,
        outputs,
        _plain(window),
        stride=_plain(_where(carries, stride, 1)),
        pad_mode=mode,
        padding=(padding if len(window) > 1 else padding[0]) if mode == "pad" else 0,
        dilation=_plain(_where(carries, dilation, 1)),
        group=stage.groups,
        has_bias=False,
    )
    made.weight.set_data(Tensor(stage.kernel.astype(np.float32).reshape(made.weight.shape)))
    return made


def _plain(sizes: Sequence[int]) -> int | tuple[int, ...]:
    """As cells take it: one number in one dimension."""
    return tuple(sizes) if len(sizes) > 1 else sizes[0]


def _where(chosen: Sequence[bool], values: Sequence[int], other: int) -> tuple[int, ...]:
    return tuple(value if here else other for here, value in zip(chosen, values, strict=True))
