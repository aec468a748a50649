"""Finds where a program uses torch: calls, base classes, references, types, and what may be methods of tensors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from common.api_mapping.scan.names import METHODS
from common.api_mapping.scan.receivers import LAYER, TENSOR, foreign, kind_of, plausible
from common.api_mapping.scan.scopes import Scope, dotted, walk
from common.api_mapping.scan.sources import Source, Unit
from common.api_mapping.scan.structure import LAYER_METHODS, OPTIMIZER_METHODS, advice

__all__ = ["CALLS", "Use", "optimizer_or_scheduler", "uses"]

CALLS = ("call", "method")
_OPTIMIZER = re.compile(r"(\w*_)?opt(_\w)?")  # opt, d_opt, opt_g


@dataclass(frozen=True)
class Use:
    """One place where torch is used."""

    name: str  #: dotted: ``torch.nn.functional.softmax``, ``torch.Tensor.view``, ``torch.nn.Module.eval``
    kind: str  #: call, method, base (of a class), reference (handed on, not called), name (a type, dtype or constant) or definition (of forward)
    node: Any  #: an expression, or the function called forward
    scope: Scope
    unit: Unit
    by_name: bool = False  #: a method of an object of unknown kind
    guessed: bool = False  #: a name that came from an import of everything

    @property
    def start(self) -> tuple[int, int]:
        """Line and column, from 1; of a method those of its name, which may stand lines below the object."""
        node: Any = self.node.func if isinstance(self.node, ast.Call) else self.node
        if self.kind == "method":
            return node.end_lineno, max(1, self.unit.column(node.end_lineno, node.end_col_offset) - len(node.attr))
        return node.lineno, self.unit.column(node.lineno, node.col_offset) + (4 if self.kind == "definition" else 0)

    @property
    def end(self) -> tuple[int, int]:
        """Line and column behind its last character."""
        if self.kind == "definition":
            return self.start[0], self.start[1] + len(self.node.name)
        node: Any = self.node.func if isinstance(self.node, ast.Call) else self.node
        return node.end_lineno, self.unit.column(node.end_lineno, node.end_col_offset)


def uses(source: Source) -> list[Use]:
    """Every use of torch in a file, in the order of its text. The cells of a notebook share their names."""
    if not any("torch" in line or not line.isascii() for unit in source.units for line in unit.lines):
        return []  # all findings begin with an import of torch; letters of other alphabets may be normalised to its name
    module = Scope("module")
    nodes = [
        (node, scope, place, unit)
        for unit in source.units
        for node, scope, place in walk(unit.tree, module)
        if isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.FunctionDef)
    ]
    called = {id(node.func): node for node, *_ in nodes if isinstance(node, ast.Call)}
    inner: set[int] = set()
    found = []
    for node, scope, place, unit in nodes:
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in inner:
            inner |= set(_links(node))
            use = _reference(node, scope, place, unit, called.get(id(node)))
            if use is None and id(node) in called and isinstance(node, ast.Attribute) and module.torch:
                use = _method(called[id(node)], scope, unit)
        elif isinstance(node, ast.FunctionDef) and module.torch and _is_forward(node, scope):
            use = Use("torch.nn.Module.forward", "definition", node, scope, unit)
        else:
            continue
        if use:
            found.append(use)
    return sorted(found, key=lambda use: (use.unit.cell or 0, *use.start))


def _links(node: ast.AST) -> Iterator[int]:
    """The parts of a chain of attributes, which are no uses of their own."""
    while isinstance(node, ast.Attribute):
        node = node.value
        yield id(node)


def _reference(node: ast.expr, scope: Scope, place: str, unit: Unit, call: ast.Call | None) -> Use | None:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return None
    resolved = dotted(node, scope)
    if resolved is None:
        return None
    name, how = resolved
    if call is not None:
        return Use(name, "call", call, scope, unit, guessed=how == "guessed")
    if how == "assigned" and isinstance(node, ast.Name):
        return None  # told where it was assigned
    kind = (
        "base"
        if place == "base"
        else "name"
        if place == "annotation" or (place != "decorator" and advice(name))
        else "reference"
    )
    return Use(name, kind, node, scope, unit, guessed=how == "guessed")


def _method(call: ast.Call, scope: Scope, unit: Unit) -> Use | None:
    function: Any = call.func
    name, receiver = function.attr, function.value
    if name not in METHODS and name not in LAYER_METHODS:
        return None
    if _is_self(receiver):
        if name in LAYER_METHODS and _is_layer(scope.enclosing("class"), name):
            return Use(f"torch.nn.Module.{name}", "method", call, scope, unit)
        return None
    if foreign(receiver, scope):
        return None
    kind = kind_of(receiver, scope)
    if name in OPTIMIZER_METHODS and kind != LAYER and (owner := optimizer_or_scheduler(receiver)):
        return Use(f"{owner}.{name}", "method", call, scope, unit, by_name=True)
    named = kind is None and _named_like_layer(receiver)
    if name in LAYER_METHODS and (
        kind == LAYER or named or (kind is None and LAYER_METHODS[name][1] and _like_a_layers(call, name))
    ):
        return Use(f"torch.nn.Module.{name}", "method", call, scope, unit, by_name=kind != LAYER)
    if name in METHODS and plausible(call, name, kind):
        return Use(f"torch.Tensor.{name}", "method", call, scope, unit, by_name=kind != TENSOR)
    return None


def _is_self(node: ast.AST) -> bool:
    """``self``, ``cls`` or ``super()``."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def optimizer_or_scheduler(node: ast.AST) -> str | None:
    """The class whose methods an object has that is named ``optimizer``, ``d_opt`` or ``lr_scheduler``."""
    name = _last_name(node)
    if "sched" in name:
        return "torch.optim.lr_scheduler.LRScheduler"
    return "torch.optim.Optimizer" if "optim" in name or _OPTIMIZER.fullmatch(name) else None


def _named_like_layer(node: ast.AST) -> bool:
    """``model``, ``self.new_module``, ``g_net``: most tensors with a method ``to`` or ``half`` are named otherwise."""
    name = _last_name(node)
    return name.endswith(("model", "module", "network", "layer")) or name.rpartition("_")[2] == "net"


def _last_name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", "")).lower()


def _is_layer(scope: Scope | None, name: str) -> bool:
    """Whether a class can be a layer that inherits ``name``: it has a base and does not define that itself."""
    return (
        scope is not None
        and bool(scope.node.bases)
        and name not in scope.names
        and "torch.autograd.Function" not in _bases(scope)
    )


def _bases(scope: Scope) -> set[str]:
    return {found[0] for base in scope.node.bases if (found := dotted(base, scope.parent or scope))}


def _is_forward(node: ast.FunctionDef, scope: Scope) -> bool:
    if node.name != "forward" or scope.kind != "class" or not scope.node.bases or node.decorator_list:
        return False
    return "torch.autograd.Function" not in _bases(scope)


def _like_a_layers(call: ast.Call, name: str) -> bool:
    """Whether the arguments are those of a layer's method: ``model.train()``, not ``trainer.train(data)``."""
    receiver = _last_name(getattr(call.func, "value", call))
    if name == "eval":
        return not call.args and not call.keywords
    if name == "train":
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        return "trainer" not in receiver and len(given) <= 1 and all(isinstance(item, ast.Constant) for item in given)
    return True
