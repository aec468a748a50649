"""The style that changes the imports only: torch's names stay, and come from `mindspore_impl.torch_api`."""

from __future__ import annotations

import ast
import re
from functools import cache

from common.api_mapping.convert import structure
from common.api_mapping.convert.calls import offered, verified
from common.api_mapping.convert.kinds import Kinds
from common.api_mapping.convert.plan import Plan
from common.api_mapping.convert.spelling import Spelling
from common.api_mapping.scan.calls import uses
from common.api_mapping.scan.knowledge import Knowledge, canonical
from common.api_mapping.scan.sources import Source
from common.resources import package_folder

__all__ = ["PACKAGE", "plans"]

PACKAGE = "mindspore_impl.torch_api"


def plans(source: Source, knowledge: Knowledge) -> list[Plan]:
    """A plan for every piece of a file."""
    kinds = Kinds([unit.tree for unit in source.units], {})
    made = {id(unit): Plan(unit, kinds, knowledge, Spelling()) for unit in source.units}
    for unit in source.units:
        for node in ast.walk(unit.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                _import(made[id(unit)], node)
    for use in uses(source):
        plan, name = made[id(use.unit)], canonical(use.name, knowledge.rows)[0]
        if use.kind == "definition":
            continue
        if use.kind == "method" or use.by_name or _offered(name) or verified(knowledge.of(name)):
            plan.converted += 1
        else:
            plan.todo(use.node, name, f"not in {PACKAGE}")
    return list(made.values())


@cache
def _words() -> frozenset[str]:
    """What stands in the sources of the surface, which are not imported: that would load MindSpore."""
    folder = package_folder("mindspore_impl") / "torch_api"
    texts = (path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py")))
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))


def _offered(name: str) -> bool:
    folder = package_folder("mindspore_impl") / "torch_api"
    parts = name.split(".")[1:]
    for section, module in structure.SECTIONS.items():
        if name.startswith(f"{section}."):
            return parts[-1] in offered(module)
    if any(part not in _words() for part in parts):
        return False
    modules = [part for part in parts[:-1] if part.islower()]
    path = folder.joinpath(*modules)
    return not modules or path.is_dir() or path.with_suffix(".py").is_file() or name in ("torch.autograd.Function",)


def _import(plan: Plan, node: ast.Import | ast.ImportFrom) -> None:
    """The import as one of the surface."""
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level or not _is_torch(module):
            return
        names = ", ".join(item.name + (f" as {item.asname}" if item.asname else "") for item in node.names)
        new = PACKAGE + module.removeprefix("torch")
        lines = [f"from {new} import {names}"]
    else:
        if not any(_is_torch(item.name) for item in node.names):
            return
        lines = [line for item in node.names for line in _imported(item)]
    plan.imports[plan.span(node)] = lines
    plan.converted += 1


def _imported(item: ast.alias) -> list[str]:
    if not _is_torch(item.name):
        return [f"import {item.name}" + (f" as {item.asname}" if item.asname else "")]
    if item.name == "torch":
        return [f"from mindspore_impl import torch_api as {item.asname or 'torch'}"]
    parent, _, leaf = (PACKAGE + item.name.removeprefix("torch")).rpartition(".")
    if item.asname:
        return [f"from {parent} import {leaf}" + (f" as {item.asname}" if item.asname != leaf else "")]
    return [f"import {parent}.{leaf}", "from mindspore_impl import torch_api as torch"]


def _is_torch(name: str) -> bool:
    return name == "torch" or name.startswith("torch.")
