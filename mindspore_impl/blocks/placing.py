"""Putting a converted network where a native one could be: under the canonical names of its parameters, with the
project's dropout."""

from __future__ import annotations

from mindspore import nn

from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.shims.nn import Embedding
from mindspore_impl.shims.nn.dropout import Dropout as TorchDropout

__all__ = ["placed"]


def placed(cell: nn.Cell, path: str) -> nn.Cell:
    """``cell`` with names and paths that begin with ``path``, as the same module of torch has at that place.

    A native cell, whose parameters are named already, is returned as it is. Of a converted one every cell gets the path
    by which the rewriting finds it, and dropouts become those whose masks both backends share.
    """
    named = list(cell.parameters_and_names())
    if all(parameter.name.startswith(f"{path}.") for _, parameter in named):
        return cell
    for name, parameter in named:
        parameter.name = f"{path}.{name}"
    for name, inner in list(cell.cells_and_names()):
        inner.path = f"{path}.{name}" if name else path
        inner._auto_prefix = False  # what replaces a cell later is named already
        if isinstance(inner, Embedding):
            inner.padding = inner.padding_idx  # as of a native one, as is what follows
            inner.trained = False  # the rewriting says whether it is
        for leaf, child in list(inner.name_cells().items()):
            if isinstance(child, TorchDropout | nn.Dropout):
                setattr(inner, leaf, Dropout(f"{inner.path}.{leaf}", child.p))
    return cell
