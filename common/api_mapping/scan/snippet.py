"""A torch call as it is to be written for MindSpore."""

from __future__ import annotations

import ast
from collections.abc import Callable
from itertools import islice
from typing import Any

from common.api_mapping.row import Row
from common.api_mapping.scan.calls import Use
from common.api_mapping.scan.knowledge import Entry
from common.api_mapping.scan.scopes import dotted
from common.api_mapping.snippets import adapter_module
from common.resources import package_folder

__all__ = ["KEYWORDS", "STATIC", "left_out", "rewrite", "spelled", "untried"]

#: Arguments of many torch calls that MindSpore's calls lack.
KEYWORDS = {
    "device": "leave out device=",
    "layout": "leave out layout=",
    "pin_memory": "leave out pin_memory=",
    "memory_format": "leave out memory_format=",
    "non_blocking": "leave out non_blocking=",
    "out": "no out=: assign the result",
    "inplace": "no inplace=: a new tensor is returned; use it",
    "requires_grad": "no requires_grad=: make it a mindspore.Parameter",
}
#: Functions of MindSpore's Tensor that are no methods of one.
STATIC = ("Tensor.from_numpy",)
_LARGEST, _LONGEST = 150, 240  # nodes of a call that is written out, and its characters


def _tried(row: Row) -> set[str]:
    return {name for case in row.cases for name in (*case.keywords, *case.setup)}


def _given(use: Use) -> list[str]:
    return [keyword.arg for keyword in use.node.keywords if keyword.arg] if isinstance(use.node, ast.Call) else []


def left_out(use: Use, row: Row) -> list[str]:
    """Keywords of this call that have to go; rows try ``inplace=False`` only."""
    return [name for name in _given(use) if name in KEYWORDS and (name == "inplace" or name not in _tried(row))]


def untried(use: Use, row: Row) -> list[str]:
    """Keywords of this call that stand in no call that was verified."""
    return [name for name in _given(use) if name not in KEYWORDS and name not in _tried(row)]


def spelled(entry: Entry) -> tuple[str, str]:
    """How the target is written, and the import that it needs."""
    target, row = entry.target, entry.row
    if entry.advice:
        head = target = entry.advice.target
        return target, f"import {head.partition('.')[0]}" if "." in head else ""
    if row is None or not target:
        return "", ""
    head, _, leaf = target.removeprefix("mindspore.").partition(".")
    if head in ("mint", "ops", "nn", "numpy"):
        return f"{head}.{leaf}", f"from mindspore import {head}"
    if head != "shim":
        return (f"mindspore.{head}.{leaf}" if leaf else f"mindspore.{head}"), "import mindspore"
    section, _, name = row.name.rpartition(".")
    if section in ("torch", "torch.nn.functional"):
        return f"F.{name}", "from mindspore_impl import functional as F"
    module = section.removeprefix("torch.")
    if module in ("nn", "optim") and (package_folder("mindspore_impl") / f"{module}.py").is_file():
        return f"{module}.{name}", f"from mindspore_impl import {module}"
    try:
        parent, _, file = adapter_module(target).rpartition(".")
    except LookupError:
        return "", ""
    return f"{file}.{leaf.rpartition('.')[2]}", f"from {parent} import {file}"


def rewrite(use: Use, entry: Entry, find: Callable[[str], Entry]) -> tuple[str, tuple[str, ...]]:
    """The call for MindSpore, and the imports it needs; calls and dtypes among its arguments are rewritten too, where
    ``find`` knows them."""
    written, needed = spelled(entry)
    if not written:
        return "", ()
    imports = {needed} if needed else set()
    if not isinstance(use.node, ast.Call):
        return written, tuple(imports)
    if sum(1 for _ in islice(ast.walk(use.node), _LARGEST + 1)) > _LARGEST:
        return f"{written}(...)", tuple(sorted(imports))
    try:
        text = ast.unparse(_Writer(use, find, imports).top(use, entry)).replace("\n", " ")
    except RecursionError:
        text = f"{written}(...)"
    return (text if len(text) <= _LONGEST else f"{written}(...)"), tuple(sorted(imports))


def _copied(node: Any) -> Any:
    """A copy of what `ast.unparse` reads: the fields, without places."""
    if isinstance(node, list):
        return [_copied(item) for item in node]
    if not isinstance(node, ast.AST) or not node._fields:
        return node
    return type(node)(**{name: _copied(value) for name, value in ast.iter_fields(node)})


class _Writer(ast.NodeTransformer):
    """Puts MindSpore's names in the place of torch's."""

    def __init__(self, use: Use, find: Callable[[str], Entry], imports: set[str]):
        self.scope, self.find, self.imports = use.scope, find, imports

    def top(self, use: Use, entry: Entry) -> ast.AST:
        """The whole call."""
        return self._call(_copied(use.node), entry, use.kind == "method")

    def visit_Call(self, node: ast.Call) -> ast.AST:
        resolved = dotted(node.func, self.scope)
        if resolved is None and isinstance(node.func, ast.Attribute) and node.func.attr == "size":
            return self._shape(node)
        entry = self.find(resolved[0]) if resolved else None
        return self._call(node, entry, False) if entry and entry.row else self.generic_visit(node)

    def _shape(self, node: Any) -> ast.AST:
        """``x.size(0)``, which is ``x.shape[0]``: MindSpore's size is the number of elements."""
        given = [*node.args, *(item.value for item in node.keywords)]
        shape = ast.Attribute(self.visit(node.func.value), "shape", ast.Load())
        return ast.Subscript(shape, self.visit(given[0]), ast.Load()) if given else shape

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        resolved = dotted(node, self.scope)
        written, needed = spelled(self.find(resolved[0])) if resolved else ("", "")
        if not written:
            return self.generic_visit(node)
        self.imports.add(needed)
        return ast.Name(written)

    def _call(self, node: Any, entry: Entry, method: bool) -> ast.AST:
        written, needed = spelled(entry)
        if not written:
            return self.generic_visit(node)
        node.args = [self.visit(item) for item in node.args]
        if entry.row:
            tried = _tried(entry.row) - {"inplace"}
            node.keywords = [item for item in node.keywords if item.arg not in KEYWORDS or item.arg in tried]
        for item in node.keywords:
            item.value = self.visit(item.value)
        of_tensor = entry.target.startswith("Tensor.") and entry.target not in STATIC
        if method:
            receiver = self.visit(node.func.value)
            if of_tensor:
                node.func = ast.Attribute(receiver, entry.target.rpartition(".")[2], ast.Load())
                return node
            node.args.insert(0, receiver)
        elif of_tensor and node.args and not isinstance(node.args[0], ast.Starred):
            receiver = node.args.pop(0)
            node.func = ast.Attribute(receiver, entry.target.rpartition(".")[2], ast.Load())
            return node
        if needed:
            self.imports.add(needed)
        node.func = ast.Name(written)
        return node
