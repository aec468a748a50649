"""What the names of a program stand for: scopes, and what is bound in them. Read off the source, without following the
order of execution."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from common.api_mapping.names import index
from common.api_mapping.scan.names import FUNCTIONS, LAYERS, METHODS
from common.api_mapping.scan.structure import NAMES

__all__ = ["Binding", "Scope", "dotted", "walk"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_STARS = {"torch.nn": LAYERS, "torch.nn.functional": FUNCTIONS, "torch.Tensor": METHODS}
_NAMESPACES = ("array_namespace", "get_namespace", "__array_namespace__")  #: of the array API: they return a module
_LONGEST = 200  # characters of a dotted name


@dataclass(frozen=True)
class Binding:
    """One thing that a name is bound to."""

    kind: str  #: torch (text is a dotted name), foreign (text is a module), expression, annotation, class, function or other
    text: str = ""
    node: Any = None


@dataclass(eq=False)
class Scope:
    """A module, class, function or comprehension."""

    kind: str
    parent: Scope | None = None
    node: Any = None  #: of a class or function
    names: dict[str, list[Binding]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)  #: torch modules of which everything was imported
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    torch: bool = False  #: of a module: whether torch is imported anywhere in it
    resolved: dict[str, Any] = field(
        default_factory=dict
    )  #: torch names of this scope's names, so far as they were asked for
    imported: dict[str, str] = field(default_factory=dict)  #: modules other than torch's by the names bound to them
    kinds: dict[str, Any] = field(default_factory=dict)  #: what the values of this scope's names are, see `receivers`
    deduced: Any = None  #: of a module: the same of its expressions
    module: Scope = field(init=False, repr=False)  #: the outermost scope
    scopes: list[Scope] = field(default_factory=list)  #: of a module: itself and those inside, in the order of the text

    def __post_init__(self) -> None:
        self.module = self.parent.module if self.parent else self
        self.module.scopes.append(self)

    def bind(self, name: str, binding: Binding) -> None:
        """Add what ``name`` stands for."""
        scope = self.module if name in self.globals else self._around(name) if name in self.nonlocals else self
        scope.names.setdefault(name, []).append(binding)
        if binding.kind == "foreign":
            scope.imported.setdefault(name, binding.text)
        elif isinstance(binding.node, ast.Call) and _last_name(binding.node.func) in _NAMESPACES:
            scope.imported.setdefault(name, "array namespace")

    def _around(self, name: str) -> Scope:
        """The function further out that binds ``name``."""
        scope = self.parent
        while scope and (scope.kind != "function" or name not in scope.names):
            scope = scope.parent
        return scope or self

    def find(self, name: str) -> tuple[list[Binding], Scope] | None:
        """The bindings of ``name`` as seen from here, and their scope. Functions do not see the names of the class they
        stand in."""
        scope: Scope | None = self
        while scope:
            if name in scope.names and (scope is self or scope.kind != "class"):
                return scope.names[name], scope
            scope = scope.parent
        return None

    def enclosing(self, kind: str) -> Scope | None:
        """The next scope outwards of that kind."""
        scope: Scope | None = self
        while scope and scope.kind != kind:
            scope = scope.parent
        return scope


def dotted(node: ast.AST, scope: Scope) -> tuple[str, str] | None:
    """The dotted torch name that a name or a chain of attributes stands for, and how that is known: imported, assigned,
    or guessed (imported by ``*``).

    To be asked after the whole file was walked: a function sees names that are bound below it.
    """
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    found = _name(node.id, scope) if isinstance(node, ast.Name) else None
    if found is None:
        return None
    text = ".".join([found[0], *reversed(parts)])
    return (text, found[1]) if len(text) <= _LONGEST else None  # x = x.T again and again


def _name(name: str, scope: Scope) -> tuple[str, str] | None:
    known = scope.find(name)
    if known is None:
        return next(((f"{star}.{name}", "guessed") for star in scope.module.stars if _brings(star, name)), None)
    bindings, owner = known
    if name not in owner.resolved:
        owner.resolved[name] = None  # an answer for whoever asks while it is looked for: x = x.T
        owner.resolved[name] = _resolve(bindings, owner)
    return owner.resolved[name]


def _brings(star: str, name: str) -> bool:
    """Whether ``from torch.nn import *`` is where ``name`` comes from: torch's functions hide Python's."""
    if star in _STARS:
        return name in _STARS[star] and not hasattr(builtins, name)
    full = f"{star}.{name}"
    return full in index() or (full in NAMES and not hasattr(builtins, name))


def _resolve(bindings: list[Binding], owner: Scope) -> tuple[str, str] | None:
    """One import of torch is enough: ``try: import torch`` is followed by ``except ImportError: torch = None``."""
    imported = next((binding for binding in bindings if binding.kind == "torch"), None)
    if imported:
        return imported.text, "imported"
    aliases = (
        dotted(binding.node, owner)
        for binding in bindings
        if binding.kind == "expression" and isinstance(binding.node, ast.Attribute | ast.Name)
    )
    found = next((alias for alias in aliases if alias), None)
    return found and (found[0], "guessed" if found[1] == "guessed" else "assigned")


def walk(tree: ast.Module, module: Scope) -> Iterator[tuple[ast.AST, Scope, str]]:
    """Every node with its scope, and whether it stands in a decorator, a base or an annotation; bindings are entered on
    the way. Operators and contexts (``ast.Load``) are left out: they hold no names.

    Without recursion, since expressions may be nested deeply.
    """
    waiting: list[tuple[ast.AST, Scope, str]] = [(tree, module, "")]
    while waiting:
        node, scope, place = waiting.pop()
        kind = type(node)
        if kind in _BINDERS:
            _BINDERS[kind](node, scope)
        yield node, scope, place
        children = list(_children(node, scope)) if kind in _OWN_ORDER else _parts(node, scope, place)
        children.reverse()
        waiting += children


def _parts(node: ast.AST, scope: Scope, place: str) -> list[tuple[ast.AST, Scope, str]]:
    """The nodes in the fields of ``node``."""
    found: list[tuple[ast.AST, Scope, str]] = []
    if place and not isinstance(node, ast.expr):
        place = ""
    for name in node._fields:
        value = getattr(node, name, None) if name not in ("ctx", "op", "ops") else None
        if isinstance(value, ast.AST):
            found.append((value, scope, place))
        elif isinstance(value, list):
            found += [(item, scope, place) for item in value if isinstance(item, ast.AST)]
    return found


_OWN_ORDER = (*_FUNCTIONS, *_COMPREHENSIONS, ast.ClassDef, ast.AnnAssign)


def _children(node: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, Scope, str]]:
    """The parts of a node of ``_OWN_ORDER``: those inside stand in a scope of their own."""
    if isinstance(node, _FUNCTIONS):
        inner = Scope("function", scope, node)
        _parameters(node.args, inner)
        arguments = node.args
        yield from ((item, scope, "decorator") for item in getattr(node, "decorator_list", ()))
        yield from ((item, scope, "") for item in (*arguments.defaults, *arguments.kw_defaults) if item is not None)
        yield from ((item.annotation, scope, "annotation") for item in _all(arguments) if item.annotation is not None)
        if not isinstance(node, ast.Lambda) and node.returns is not None:
            yield node.returns, scope, "annotation"
        body = node.body if isinstance(node.body, list) else [node.body]
        yield from ((item, inner, "") for item in body)
    elif isinstance(node, ast.ClassDef):
        inner = Scope("class", scope, node)
        yield from ((item, scope, "decorator") for item in node.decorator_list)
        yield from ((item, scope, "base") for item in node.bases)
        yield from ((item.value, scope, "") for item in node.keywords)
        yield from ((item, inner, "") for item in node.body)
    elif isinstance(node, _COMPREHENSIONS):
        inner = Scope("comprehension", scope, node)
        yield from _parts(node, inner, "")
    elif isinstance(node, ast.AnnAssign):
        yield node.annotation, scope, "annotation"
        yield from ((item, scope, "") for item in (node.target, node.value) if item is not None)


def _all(arguments: ast.arguments) -> list[ast.arg]:
    several = [arguments.vararg, arguments.kwarg]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *(item for item in several if item)]


def _parameters(arguments: ast.arguments, scope: Scope) -> None:
    for item in _all(arguments):
        starred = item is arguments.vararg or item is arguments.kwarg
        scope.bind(
            item.arg,
            Binding("annotation", node=item.annotation)
            if item.annotation is not None and not starred
            else Binding("other"),
        )


def _bind_import(node: ast.Import, scope: Scope) -> None:
    for item in node.names:
        root = item.name.partition(".")[0]
        _import(item.asname or root, item.name if item.asname else root, scope)


def _bind_import_from(node: ast.ImportFrom, scope: Scope) -> None:
    for item in node.names:
        if item.name == "*":
            if node.level == 0 and _is_torch(node.module or ""):
                scope.module.torch = True
                scope.module.stars.append(node.module or "")
        elif node.level:
            scope.bind(item.asname or item.name, Binding("foreign", "." * node.level + (node.module or "")))
        else:
            _import(item.asname or item.name, f"{node.module}.{item.name}", scope)


def _bind_annotated(node: ast.AnnAssign, scope: Scope) -> None:
    if isinstance(node.target, ast.Name):
        scope.bind(node.target.id, Binding("annotation", node=node.annotation))
        if node.value is not None:
            _assign(node.target, node.value, scope)


def _bind_assigned(node: ast.Assign, scope: Scope) -> None:
    for target in node.targets:
        _assign(target, node.value, scope)


def _bind_walrus(node: ast.NamedExpr, scope: Scope) -> None:
    while scope.kind == "comprehension" and scope.parent:
        scope = scope.parent
    _assign(node.target, node.value, scope)


def _bind_caught(node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar, scope: Scope) -> None:
    if node.name:
        scope.bind(node.name, Binding("other"))


def _bind_item(node: ast.withitem, scope: Scope) -> None:
    if node.optional_vars is not None:
        _assign(node.optional_vars, None, scope)


def _bind_loop(node: ast.For | ast.AsyncFor | ast.comprehension, scope: Scope) -> None:
    _assign(node.target, None, scope)


def _bind_function(node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
    scope.bind(node.name, Binding("function"))


def _bind_class(node: ast.ClassDef, scope: Scope) -> None:
    scope.bind(node.name, Binding("class", node=node))


def _bind_global(node: ast.Global, scope: Scope) -> None:
    scope.globals.update(node.names)


def _bind_nonlocal(node: ast.Nonlocal, scope: Scope) -> None:
    scope.nonlocals.update(node.names)


#: What enters the names that a node binds.
_BINDERS: dict[type[ast.AST], Callable[[Any, Scope], None]] = {
    ast.Import: _bind_import,
    ast.ImportFrom: _bind_import_from,
    ast.Global: _bind_global,
    ast.Nonlocal: _bind_nonlocal,
    ast.ClassDef: _bind_class,
    ast.FunctionDef: _bind_function,
    ast.AsyncFunctionDef: _bind_function,
    ast.ExceptHandler: _bind_caught,
    ast.MatchAs: _bind_caught,
    ast.MatchStar: _bind_caught,
    ast.Assign: _bind_assigned,
    ast.AnnAssign: _bind_annotated,
    ast.NamedExpr: _bind_walrus,
    ast.For: _bind_loop,
    ast.AsyncFor: _bind_loop,
    ast.comprehension: _bind_loop,
    ast.withitem: _bind_item,
}


def _last_name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def _import(name: str, module: str, scope: Scope) -> None:
    if _is_torch(module):
        scope.module.torch = True
        scope.bind(name, Binding("torch", module))
    else:
        scope.bind(name, Binding("foreign", module))


def _is_torch(module: str) -> bool:
    return module == "torch" or module.startswith("torch.")


def _assign(target: ast.expr, value: ast.expr | None, scope: Scope) -> None:
    """Bind the names of a target; the parts of ``a, b = x, y`` each to its own value."""
    if isinstance(target, ast.Name):
        scope.bind(target.id, Binding("other") if value is None else Binding("expression", node=value))
    elif isinstance(target, ast.Starred):
        _assign(target.value, None, scope)
    elif isinstance(target, ast.Tuple | ast.List):
        parts: list[ast.expr | None] = [None] * len(target.elts)
        if (
            isinstance(value, ast.Tuple | ast.List)
            and len(value.elts) == len(parts)
            and not any(isinstance(item, ast.Starred) for item in value.elts)
        ):
            parts = list(value.elts)
        for item, part in zip(target.elts, parts, strict=True):
            _assign(item, part, scope)
