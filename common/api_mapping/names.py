"""What a namespace needs of the rows: their names and candidates, without the cases.

The rows of `common.api_mapping.rows` are the source. `names.json` holds this part of them, so that importing a
namespace builds no case; ``python -m common.api_mapping.names`` writes it, and a test compares both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from common.resources import package_folder

__all__ = ["FILE", "Name", "index", "named", "text"]

FILE = package_folder("common.api_mapping") / "names.json"


@dataclass(frozen=True)
class Name:
    """One torch call and the calls of MindSpore that may replace it."""

    name: str  #: ``torch.var``, ``torch.Tensor.view``, ``torch.nn.functional.gelu``, ``torch.nn.Linear``, ``torch.optim.Adam``
    targets: tuple[
        str, ...
    ]  #: candidates in order of preference: ``mint.var``, ``ops.var``, ``Tensor.view``, or ``shim.var`` of `mindspore_impl.shims`

    @property
    def kind(self) -> str:
        """function, method, module or optimizer."""
        parent, _, leaf = self.name.rpartition(".")
        if parent == "torch.Tensor":
            return "method"
        if parent == "torch.optim":
            return "optimizer"
        return "module" if parent == "torch.nn" and leaf[0].isupper() else "function"

    @property
    def section(self) -> str:
        """torch, torch.Tensor, torch.nn, torch.nn.functional, ..."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    @property
    def shim(self) -> str | None:
        """The shim among the targets."""
        return next((target for target in self.targets if target.startswith("shim.")), None)


@cache
def index() -> dict[str, Name]:
    """Every row's name and candidates by torch's name, in the registry's order."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return {name: Name(name, tuple(targets)) for name, targets in content.items()}


def named(*sections: str, kinds: tuple[str, ...] = ("function",)) -> dict[str, Name]:
    """Last part of the name to row, for the rows of ``sections``; where two share it, the later section's counts."""
    rows = [row for section in sections for row in index().values() if row.section == section and row.kind in kinds]
    return {row.leaf: row for row in rows}


def text(rows: Mapping[str, Name]) -> str:
    """The content of ``names.json`` for these rows, one row a line."""
    lines = [f"  {json.dumps(name)}: {json.dumps(row.targets)}" for name, row in rows.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _main() -> None:
    from common.api_mapping.rows import registry
    from common.files import write_atomic

    write_atomic(FILE, text(registry()))
    print(FILE)


if __name__ == "__main__":
    _main()
