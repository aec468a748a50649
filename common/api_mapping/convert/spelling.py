"""How MindSpore's names are written in a converted file, and the imports that they need."""

from __future__ import annotations

from collections.abc import Iterable

from common.api_mapping.names import named
from common.api_mapping.scan.knowledge import Entry
from common.api_mapping.scan.structure import DTYPES
from common.api_mapping.snippets import adapter_module

__all__ = ["Spelling"]

#: Import by the name that it binds. mindspore_impl comes first: it settles what MindSpore reads when it is imported.
_IMPORTS = {
    "nn": "from mindspore_impl import nn",
    "F": "from mindspore_impl import functional as F",
    "optim": "from mindspore_impl import optim",
    "linalg": "from mindspore_impl import linalg",
    "special": "from mindspore_impl import special",
    "porting": "from mindspore_impl import porting",
    "init": "from mindspore_impl.porting import init",
    "lr_scheduler": "from mindspore_impl.porting import lr_scheduler",
    "data": "from mindspore_impl.porting import data",
    "tensors": "from mindspore_impl.shims import tensor as tensors",
    "ms": "import mindspore as ms",
    "mint": "from mindspore import mint",
    "ops": "from mindspore import ops",
    "np": "import numpy as np",
}


class Spelling:
    """Names of a converted file.

    Args:
        taken: names that the file binds itself, to something else than torch.
    """

    def __init__(self, taken: Iterable[str] = ()):
        self.taken = set(taken)
        self.used: dict[str, str] = {}

    def name(self, text: str) -> str:
        """``text``, such as ``ms.Tensor``, under the name that its module has in this file."""
        head, dot, rest = text.partition(".")
        if head not in self.used:
            self.used[head] = f"ms_{head}" if head in self.taken else head
        return f"{self.used[head]}{dot}{rest}"

    def lines(self) -> list[str]:
        """The imports that are needed, in order."""
        found = []
        for head in (name for name in _IMPORTS if name in self.used):
            line, alias = _IMPORTS[head], self.used[head]
            if alias != head:
                line = f"{line.removesuffix(f' as {head}')} as {alias}"
            found.append(line)
        return found

    def function(self, entry: Entry) -> str:
        """The target of a row as a function or class; empty where no module offers it."""
        row, target = entry.row, entry.target
        if row is None or not target:
            return ""
        section, leaf = row.section, target.rpartition(".")[2]
        if section == "torch.nn" and row.kind == "module":
            return self.name(f"nn.{row.leaf}")
        if section == "torch.optim":
            return self.name(f"optim.{row.leaf}")
        if not target.startswith("shim."):
            return self._own(target)
        if section in ("torch", "torch.nn.functional"):
            return self.name(f"F.{row.leaf}")
        if target.startswith("shim.tensor."):
            return self.name(f"tensors.{leaf}")
        offered = named("torch", "torch.nn.functional")
        for name in (row.leaf, leaf):
            if name in offered and target in offered[name].targets:
                return self.name(f"F.{name}")
        module = section.removeprefix("torch.")
        if module in ("linalg", "special"):
            return self.name(f"{module}.{row.leaf}")
        try:
            module = adapter_module(target).rpartition(".")[2]
        except LookupError:
            return ""
        return self.name(f"{module}.{leaf}") if module in _IMPORTS else ""

    def dtype(self, name: str) -> str:
        """MindSpore's dtype for the last part of torch's."""
        return self.name(f"ms.{DTYPES[name].replace('bool', 'bool_')}")

    def _own(self, target: str) -> str:
        head = target.removeprefix("mindspore.").partition(".")[0]
        if head in ("mint", "ops"):
            return self.name(target.removeprefix("mindspore."))
        return self.name(f"ms.{target.removeprefix('mindspore.')}")
