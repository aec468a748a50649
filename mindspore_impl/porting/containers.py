"""Containers that MindSpore lacks: a sequence of named cells, and a dict that holds containers too (`nn.CellDict`
refuses them)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mindspore import nn

__all__ = ["ModuleDict", "Sequential"]


class Sequential(nn.Cell):
    """Cells one after the other, under the names ``"0"``, ``"1"``, ... or given ones, as `torch.nn.Sequential`.

    A cell that is set as an attribute later is appended, so that ``setattr(net, "conv", cell)`` does what
    ``add_module`` does in torch.

    Args:
        cells: cells, or one dict of cells by name.
    """

    def __init__(self, *cells: Any):
        super().__init__()
        self.set_train()
        self.held = ()
        named = cells[0] if len(cells) == 1 and isinstance(cells[0], Mapping) else dict(enumerate(cells))
        for name, cell in named.items():
            setattr(self, str(name), cell)

    def __setattr__(self, name: str, value: Any):
        super().__setattr__(name, value)
        if isinstance(value, nn.Cell):
            super().__setattr__("held", tuple(self._cells.values()))

    def __len__(self):
        return len(self.held)

    def __iter__(self):
        return iter(self.held)

    def __getitem__(self, place):
        if isinstance(place, slice):
            return Sequential(dict(list(self._cells.items())[place]))
        return self.held[place]

    def append(self, cell: nn.Cell) -> Sequential:
        """Add a cell at the end."""
        setattr(self, str(len(self.held)), cell)
        return self

    def construct(self, input):
        for cell in self.held:
            input = cell(input)
        return input


class ModuleDict(nn.Cell):
    """Cells by name, which are attributes as well, as in `torch.nn.ModuleDict`.

    Args:
        cells: a dict, or pairs of a name and a cell.
    """

    def __init__(self, cells: Mapping[str, nn.Cell] | Iterable[tuple[str, nn.Cell]] | None = None):
        super().__init__()
        self.set_train()
        self.held, self.names = (), ()
        self.update(cells or {})

    def update(self, cells: Mapping[str, nn.Cell] | Iterable[tuple[str, nn.Cell]]) -> None:
        """Add cells, or replace those of the same names."""
        for name, cell in dict(cells).items():
            self[name] = cell

    def __setitem__(self, name: str, cell: nn.Cell):
        setattr(self, name, cell)
        self.names = tuple(self._cells)
        self.held = tuple(self._cells.values())

    def __getitem__(self, name):
        return self.held[self.names.index(name)]

    def __contains__(self, name: str):
        return name in self.names

    def __len__(self):
        return len(self.names)

    def __iter__(self):
        return iter(self.names)

    def keys(self):
        """The names."""
        return self.names

    def values(self):
        """The cells."""
        return self.held

    def items(self):
        """Pairs of a name and a cell."""
        found = ()
        for place in range(len(self.names)):  # graphs know no zip with strict=
            found = (*found, (self.names[place], self.held[place]))
        return found
