"""What the expressions of a program are: tensors, layers, optimizers or plain Python. Read off the assignments of a
file, without following the order of execution."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from common.api_mapping.scan.calls import optimizer_or_scheduler
from common.api_mapping.scan.names import METHODS

__all__ = ["LAYER", "OPTIMIZER", "PLAIN", "TENSOR", "Kinds"]

TENSOR, LAYER, PLAIN, OPTIMIZER = "tensor", "layer", "plain", "optimizer"

#: Methods that strings, lists, dicts, paths or loggers have as well.
SHARED = {
    *("add", "index", "indices", "sort", "split", "values", "expand", "log", "put", "sub", "resize", "to", "type"),
    *(
        "float",
        "half",
        "copy_",
        "apply_",
        "map_",
        "get_device",
        "cuda",
        "cpu",
        "all",
        "any",
        "max",
        "min",
        "mean",
        "sum",
    ),
    *("bool", "int", "long", "double", "short", "byte", "char", "round", "item", "tolist", "numpy", "dot", "T", "cov"),
    *("backward", "data_ptr", "storage", "hash_tensor", "set_", "select", "take", "repeat", "clip", "argmax", "argmin"),
}
_OF_TENSORS = METHODS - SHARED | {"backward"}
_PLAIN_RESULTS = {
    *("item", "tolist", "numpy", "size", "dim", "numel", "is_floating_point", "stride", "nelement", "ndimension"),
    *("is_contiguous", "data_ptr", "get_device"),
}
_SAME = {"data", "grad", "T", "mT", "H", "mH", "real", "imag", "values", "indices"}
_PLAIN_ATTRIBUTES = {"shape", "dtype", "device", "ndim", "training", "requires_grad"}
_TENSOR_FUNCTIONS = ("torch", "torch.nn.functional", "torch.linalg", "torch.special", "torch.fft")
_CONTAINERS = ("ModuleList", "ModuleDict", "Sequential")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_DEPTH = 12


class Kinds:
    """Kinds of a file's expressions.

    Args:
        trees: the parsed pieces of a file, which share their names.
        names: dotted torch name of an expression's node, by the node's id.
    """

    def __init__(self, trees: list[ast.Module], names: dict[int, str]):
        self.names = names
        self.parent: dict[int, ast.AST] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        self.bound: dict[int, dict[str, list[tuple[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        self.attributes: dict[str, dict[str, list[ast.expr]]] = defaultdict(lambda: defaultdict(list))
        self.used_methods: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.calls: dict[str, list[ast.Call]] = defaultdict(list)
        self.module_scope = ast.Module(body=[], type_ignores=[])
        self._known: dict[int, str | None] = {}
        for tree in trees:
            self._walk(tree, self.module_scope)

    def of(self, node: ast.AST | None, depth: int = 0) -> str | None:
        """``tensor``, ``layer``, ``optimizer``, ``plain`` or None, where nothing is known."""
        if node is None or depth > _DEPTH:
            return None
        if id(node) not in self._known:
            self._known[id(node)] = None
            self._known[id(node)] = self._kind(node, depth)
        return self._known[id(node)]

    def is_module(self, found: ast.ClassDef | None, depth: int = 0) -> bool:
        """Whether a class derives from a class of torch.nn, directly or through classes of the file."""
        if found is None or depth > _DEPTH:
            return False
        return any(self._is_module_base(base, depth) for base in found.bases)

    def enclosing_class(self, node: ast.AST) -> ast.ClassDef | None:
        """The class whose method ``node`` stands in."""
        scope = self.scope_of(node)
        while scope is not self.module_scope and not isinstance(scope, ast.ClassDef):
            scope = self.scope_of(scope)
        return scope if isinstance(scope, ast.ClassDef) else None

    def scope_of(self, node: ast.AST) -> ast.AST:
        """The next function, class or module outwards."""
        found = self.parent.get(id(node), self.module_scope)
        while found is not self.module_scope and not isinstance(found, _SCOPES):
            found = self.parent.get(id(found), self.module_scope)
        return found

    def _walk(self, node: ast.AST, parent: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            self.parent[id(child)] = node if not isinstance(node, ast.Module) else self.module_scope
            self._note(child)
            self._walk(child, node)

    def _note(self, node: ast.AST) -> None:
        scope = self.scope_of(node)
        if isinstance(node, ast.ClassDef):
            self.classes[node.name] = node
        elif isinstance(node, ast.FunctionDef) and scope is self.module_scope:
            self.functions[node.name] = node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value, "is", scope)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr | ast.AugAssign):
            if node.value is not None:
                self._assign(node.target, node.value, "is", scope)
        elif isinstance(node, ast.For | ast.comprehension):
            self._assign(node.target, node.iter, "of", scope)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            self.calls[node.func.id].append(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "self":
                self.calls[node.func.attr].append(node)
            if isinstance(node.func.value, ast.Name):
                self.used_methods[id(scope)][node.func.value.id].add(node.func.attr)
            if node.func.attr in ("register_buffer", "register_parameter") and len(node.args) > 1:
                owner, name = self.enclosing_class(node), node.args[0]
                if owner is not None and isinstance(name, ast.Constant):
                    self.attributes[owner.name][str(name.value)].append(node.args[1])

    def _assign(self, target: ast.expr, value: ast.expr, how: str, scope: ast.AST) -> None:
        if isinstance(target, ast.Name):
            self.bound[id(scope)][target.id].append((how, value))
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            owner = self.enclosing_class(target) or self._class_of(scope)
            if owner is not None and how == "is":
                self.attributes[owner.name][target.attr].append(value)
        elif isinstance(target, ast.Tuple | ast.List):
            self._assign_parts(target, value, how, scope)

    def _assign_parts(self, target: Any, value: ast.expr, how: str, scope: ast.AST) -> None:
        parts = list(target.elts)
        if how == "is" and isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(parts):
            for part, item in zip(parts, value.elts, strict=True):
                self._assign(part, item, "is", scope)
            return
        called = value.func if isinstance(value, ast.Call) else None
        given = value.args if isinstance(value, ast.Call) else []
        if how == "of" and isinstance(called, ast.Name) and called.id == "zip" and len(given) == len(parts):
            for part, item in zip(parts, given, strict=True):
                self._assign(part, item, "of", scope)
            return
        if how == "of" and isinstance(called, ast.Name) and called.id == "enumerate" and len(parts) == 2 and given:
            self._assign(parts[1], given[0], "of", scope)
            return
        if how == "of" and isinstance(called, ast.Attribute) and called.attr.startswith("named_"):
            self._assign(parts[-1], value, "of", scope)
            return
        for part in parts:
            self._assign(part, value, "of", scope)

    def _class_of(self, scope: ast.AST) -> ast.ClassDef | None:
        while scope is not self.module_scope and not isinstance(scope, ast.ClassDef):
            scope = self.scope_of(scope)
        return scope if isinstance(scope, ast.ClassDef) else None

    def _is_module_base(self, base: ast.expr, depth: int) -> bool:
        name = self.names.get(id(base), "")
        if name:
            return name.startswith("torch.nn.") and name.rpartition(".")[2][:1].isupper()
        return isinstance(base, ast.Name) and self.is_module(self.classes.get(base.id), depth + 1)

    def _kind(self, node: ast.AST, depth: int) -> str | None:
        if isinstance(node, ast.Constant):
            return None if node.value is None else PLAIN
        if isinstance(node, ast.JoinedStr | ast.Dict | ast.Set | ast.Lambda | ast.DictComp):
            return PLAIN
        if isinstance(node, ast.List | ast.Tuple):
            return self._agreed({self.of(item, depth + 1) for item in node.elts}) or PLAIN
        if isinstance(node, ast.ListComp | ast.GeneratorExp):
            return self.of(node.elt, depth + 1)
        if isinstance(node, ast.Name):
            return self._of_name(node, depth)
        if isinstance(node, ast.Call):
            return self._of_call(node, depth)
        if isinstance(node, ast.Attribute):
            return self._of_attribute(node, depth)
        if isinstance(node, ast.Subscript | ast.Starred | ast.UnaryOp | ast.NamedExpr):
            inner = node.operand if isinstance(node, ast.UnaryOp) else node.value
            return self.of(inner, depth + 1)
        if isinstance(node, ast.BinOp):
            return self._agreed({self.of(node.left, depth + 1), self.of(node.right, depth + 1)}, mixed=True)
        if isinstance(node, ast.Compare):
            return self._agreed({self.of(item, depth + 1) for item in (node.left, *node.comparators)}, mixed=True)
        if isinstance(node, ast.IfExp):
            return self._agreed({self.of(node.body, depth + 1), self.of(node.orelse, depth + 1)})
        if isinstance(node, ast.BoolOp):
            return self._agreed({self.of(item, depth + 1) for item in node.values})
        return None

    @staticmethod
    def _agreed(kinds: set[str | None], mixed: bool = False) -> str | None:
        for kind in (TENSOR, LAYER, OPTIMIZER):
            if kind in kinds:
                return kind
        return PLAIN if kinds == {PLAIN} or (mixed and PLAIN in kinds and len(kinds) == 1) else None

    def _of_name(self, node: ast.Name, depth: int) -> str | None:
        scope = self.scope_of(node)
        while True:
            if node.id in self.bound[id(scope)]:
                bindings = self.bound[id(scope)][node.id]
                found = self._agreed({self.of(value, depth + 1) for _, value in bindings})
                argument = self._argument(node.id, scope, depth)
                if found is None and self.used_methods[id(scope)][node.id] & _OF_TENSORS:
                    found = TENSOR
                return found if argument is None or found == TENSOR else argument
            if (argument := self._argument(node.id, scope, depth)) is not None:
                return argument
            if scope is self.module_scope:
                return None
            scope = self.scope_of(scope)

    def _argument(self, name: str, scope: ast.AST, depth: int) -> str | None:
        """What an argument of a function is: by its annotation, its default, or how it is used."""
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return None
        given = scope.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        found = next((argument for argument in arguments if argument.arg == name), None)
        if found is None or name in ("self", "cls"):
            return None
        if found.annotation is not None and (kind := self._of_annotation(found.annotation)):
            return kind
        default = self._default(found, given)
        if isinstance(default, ast.Constant) and default.value is not None:
            return PLAIN
        used = self.used_methods[id(scope)][name]
        if used & {"train", "eval", "parameters", "named_parameters", "modules"}:
            return LAYER
        if used & {"state_dict", "load_state_dict"}:
            named = optimizer_or_scheduler(ast.Name(name))
            return LAYER if named is None else OPTIMIZER if named == "torch.optim.Optimizer" else None
        if used & {"step", "zero_grad"} == {"step", "zero_grad"}:
            return OPTIMIZER
        if used & _OF_TENSORS:
            return TENSOR
        owner = self.scope_of(scope)
        forward = isinstance(scope, ast.FunctionDef) and scope.name == "forward"
        if forward and isinstance(owner, ast.ClassDef) and self.is_module(owner):
            return TENSOR
        return self._given(scope, arguments.index(found), isinstance(owner, ast.ClassDef), depth)

    def _given(self, function: ast.AST, place: int, method: bool, depth: int) -> str | None:
        """What the calls of a function of the file hand over at a place."""
        name = getattr(function, "name", "")
        calls = self.calls[name] if name and depth < _DEPTH - 2 else []
        values = [call.args[place - method] for call in calls if 0 <= place - method < len(call.args)]
        kinds = {self.of(value, depth + 1) for value in values}
        return kinds.pop() if len(kinds) == 1 else None

    @staticmethod
    def _default(argument: ast.arg, given: ast.arguments) -> ast.expr | None:
        positional = [*given.posonlyargs, *given.args]
        if argument in positional:
            place = positional.index(argument) - (len(positional) - len(given.defaults))
            return given.defaults[place] if place >= 0 else None
        return given.kw_defaults[given.kwonlyargs.index(argument)]

    def _of_annotation(self, node: ast.expr) -> str | None:
        text = ast.unparse(node)
        if any(word in text for word in ("Tensor", "Parameter")):
            return TENSOR
        if self.names.get(id(node), "").startswith("torch.nn."):
            return LAYER
        plain = ("int", "float", "bool", "str", "list", "dict", "tuple", "List", "Tuple", "Dict", "Sequence")
        return PLAIN if text.partition("[")[0].rpartition(".")[2] in plain else None

    def _of_attribute(self, node: ast.Attribute, depth: int) -> str | None:
        if node.attr in _PLAIN_ATTRIBUTES:
            return PLAIN
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            owner = self.enclosing_class(node)
            values = self.attributes[owner.name][node.attr] if owner is not None else []
            if values:
                return self._agreed({self.of(value, depth + 1) for value in values})
        receiver = self.of(node.value, depth + 1)
        if receiver == LAYER:
            return TENSOR if node.attr in ("weight", "bias", "running_mean", "running_var") else LAYER
        return receiver if node.attr in _SAME else None

    def _of_call(self, node: ast.Call, depth: int) -> str | None:
        name = self.names.get(id(node.func), "")
        if name:
            return self._of_torch(name)
        if isinstance(node.func, ast.Name):
            return self._of_named_call(node, node.func.id, depth)
        if isinstance(node.func, ast.Attribute):
            return self._of_method(node, node.func, depth)
        return TENSOR if self.of(node.func, depth + 1) == LAYER else None

    @staticmethod
    def _of_torch(name: str) -> str | None:
        section, _, leaf = name.rpartition(".")
        if section == "torch.nn":
            return TENSOR if leaf in ("Parameter", "Buffer") else LAYER
        if section == "torch.optim":
            return OPTIMIZER
        if section in _TENSOR_FUNCTIONS and leaf[:1].islower():
            return None if leaf in ("load", "device", "finfo", "is_tensor", "manual_seed", "save") else TENSOR
        return TENSOR if leaf.endswith("Tensor") else None

    def _of_named_call(self, node: ast.Call, called: str, depth: int) -> str | None:
        if called in self.classes:
            return LAYER if self.is_module(self.classes[called]) else None
        if called in self.functions:
            return self._returned(self.functions[called], depth)
        if (
            called in ("map", "reversed", "list", "tuple", "sorted", "next", "iter", "enumerate", "filter")
            and node.args
        ):
            return self.of(node.args[-1], depth + 1)
        if called == "zip":
            return self._agreed({self.of(item, depth + 1) for item in node.args})
        if called in ("len", "int", "float", "str", "bool", "range", "isinstance", "hasattr", "type", "id", "print"):
            return PLAIN
        return TENSOR if self.of(node.func, depth + 1) == LAYER else None

    def _of_method(self, node: ast.Call, function: ast.Attribute, depth: int) -> str | None:
        receiver = function.value
        if isinstance(receiver, ast.Name) and receiver.id == "copy" and node.args:
            return self.of(node.args[0], depth + 1)
        if isinstance(receiver, ast.Name) and receiver.id == "self":
            own = self._own_method(node, function.attr)
            if own is not None:
                return self._returned(own, depth)
            if self.of(function, depth + 1) == LAYER:
                return TENSOR
        if function.attr in ("parameters", "named_parameters", "buffers", "named_buffers"):
            return TENSOR
        if function.attr in ("modules", "children", "named_modules", "named_children"):
            return LAYER
        kind = self.of(receiver, depth + 1)
        if kind == LAYER:
            own = self._method_of_classes(function.attr)
            if own is not None:
                return self._returned(own, depth)
            if function.attr in ("to", "eval", "train", "cuda", "cpu", "apply", "values", "half", "float"):
                return LAYER
            return TENSOR if self.of(function, depth + 1) == LAYER else None
        if kind == TENSOR:
            return PLAIN if function.attr in _PLAIN_RESULTS else TENSOR
        if kind is None and function.attr in _OF_TENSORS and not isinstance(receiver, ast.Constant):
            return PLAIN if function.attr in _PLAIN_RESULTS else TENSOR
        return PLAIN if kind == PLAIN else None

    def _own_method(self, node: ast.AST, name: str) -> ast.FunctionDef | None:
        owner = self.enclosing_class(node)
        body = owner.body if owner is not None else []
        return next((item for item in body if isinstance(item, ast.FunctionDef) and item.name == name), None)

    def _method_of_classes(self, name: str) -> ast.FunctionDef | None:
        """The method ``name`` of the only class of the file that has one."""
        bodies = [item for found in self.classes.values() if self.is_module(found) for item in found.body]
        found = [item for item in bodies if isinstance(item, ast.FunctionDef) and item.name == name]
        return found[0] if len(found) == 1 else None

    def _returned(self, function: ast.FunctionDef, depth: int) -> str | None:
        values = [node.value for node in _own_nodes(function) if isinstance(node, ast.Return) and node.value]
        return self._agreed({self.of(value, depth + 1) for value in values})


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions inside it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _own_nodes(child)
