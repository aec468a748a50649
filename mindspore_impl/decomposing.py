"""Mirrors pytorch_impl.decomposing; differs: a kernel in one dimension is stored with a leading axis of 1, and padding
lists both ends of every axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from mindspore import Tensor, nn

from common.decomposition import Chain, Convolution
from common.decomposition.chain import obstacle

__all__ = ["convolutions", "replace"]


_HOOKS = ("_forward_hook", "_forward_pre_hook", "_cell_backward_hook", "_cell_backward_pre_hook")


def convolutions(model: nn.Cell) -> dict[str, Convolution]:
    """Every convolution in one or two dimensions, by path; one that stands at several paths, by each."""
    names: dict[int, list[str]] = {}
    cells = dict(_cells(model))
    for path, cell in cells.items():
        for leaf, parameter in cell._params.items():
            names.setdefault(id(parameter), []).append(f"{path}.{leaf}".lstrip("."))
    found = {}
    for path, cell in cells.items():
        if type(cell) in (nn.Conv1d, nn.Conv2d):
            plain = not cell.weight.is_complex() and getattr(cell, "data_format", "NCHW") == "NCHW"
            why = obstacle(path, names[id(cell.weight)], any(getattr(cell, name, None) for name in _HOOKS), plain)
            exact = cell.weight.asnumpy().real.astype(np.float64)
            found[path] = Convolution(exact[:, :, 0] if type(cell) is nn.Conv1d else exact, cell.group, why)
    return found


def _cells(cell: nn.Cell, path: str = "") -> Iterator[tuple[str, nn.Cell]]:
    """As ``cells_and_names``, but one that stands at several paths comes with each."""
    yield path, cell
    for leaf, inner in cell._cells.items():
        if inner is not None:
            yield from _cells(inner, f"{path}.{leaf}" if path else leaf)


def replace(model: nn.Cell, path: str, chain: Chain) -> None:
    """Put the chain in the place of the convolution at ``path``; its last one has the bias."""
    cells = dict(_cells(model))
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
        dtype=cell.weight.dtype,
    )
    made.weight.set_data(Tensor(stage.kernel.reshape(made.weight.shape), cell.weight.dtype))
    made.weight.requires_grad = cell.weight.requires_grad
    return made


def _plain(sizes: Sequence[int]) -> int | tuple[int, ...]:
    """As cells take it: one number in one dimension."""
    return tuple(sizes) if len(sizes) > 1 else sizes[0]


def _where(chosen: Sequence[bool], values: Sequence[int], other: int) -> tuple[int, ...]:
    return tuple(value if here else other for here, value in zip(chosen, values, strict=True))
