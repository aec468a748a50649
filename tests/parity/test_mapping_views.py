"""What shares memory with an argument in torch does so in MindSpore: else a write to the result is lost, or changes the
argument."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from common.api_mapping.arrays import DType, Host
from common.api_mapping.row import Case, Row, arrays_of, draw_all, fill
from common.api_mapping.rows import registry
from common.api_mapping.tolerance import arrangement

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]
#: Where it is otherwise: a copy, as the note says; a view of axes of size 1, to which a write is refused.
KNOWN = {"torch.Tensor.unfold", "torch.pixel_unshuffle", "torch.nn.functional.pixel_unshuffle"}
#: Parts of complex numbers, which MindSpore has no views of: copies, as the rows say.
COPIED = {"torch.conj", "torch.Tensor.conj", "torch.real", "torch.imag", "torch.view_as_real", "torch.view_as_complex"}


def compared() -> list[tuple[Row, Case]]:
    """Calls of functions and methods with a tensor of at least two elements in front and no dtype among the
    arguments."""
    found = []
    for row in registry().values():
        if row.kind in ("function", "method") and not (row.in_place or row.stochastic):
            found += [(row, case) for case in row.cases if _plain((case.arguments, dict(case.keywords)))]
    return [(row, case) for row, case in found if (first := next(arrays_of(case), None)) and np.prod(first.shape) > 1]


def _plain(value) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return all(map(_plain, value.values())) if isinstance(value, dict) else not isinstance(value, DType | Host)


def shared(function, row: Row, case: Case, tensor, kind: type) -> list[bool]:
    """For each tensor that is returned, whether it is in the memory of an argument."""
    tensors = [tensor(np.array(array)) for array in draw_all(row, case)]
    arguments, keywords = fill((case.arguments, dict(case.keywords)), iter(tensors), copy.copy)
    leaves, _ = arrangement(function(*arguments, **keywords), kind)
    memory = {given.untyped_storage().data_ptr() for given in tensors if given.shape.count(0) == 0}
    return [
        leaf.untyped_storage().data_ptr() in memory for leaf in leaves if isinstance(leaf, kind) and 0 not in leaf.shape
    ]


def test_views_are_views_and_copies_are_copies(tmp_path, monkeypatch):
    import mindspore as ms
    import torch

    from common.api_mapping.running import open_backends
    from mindspore_impl.mapping import resolve
    from pytorch_impl.mapping import resolve as resolve_torch

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    locked, found, tried = open_backends("cpu").locked, {}, 0
    for row, case in compared():
        try:
            theirs = shared(resolve_torch(row.name), row, case, torch.from_numpy, torch.Tensor)
            ours = shared(resolve(locked[row.name]["target"]), row, case, ms.Tensor, ms.Tensor)
        except Exception:  # whether a call works at all is tried elsewhere
            continue
        tried += 1
        if theirs != ours:
            found.setdefault(row.name, f"{case}: torch {theirs}, MindSpore {ours}")
    assert tried > 2000
    assert all("a copy" in f"{row.adaptation} {row.note}" for row in registry().values() if row.name in COPIED)
    assert {name: text for name, text in found.items() if name not in KNOWN | COPIED} == {}
