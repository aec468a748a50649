"""What a method is called on. A tensor is rarely declared, so a method is known by its name; here other objects with
methods of that name are distinguished."""

from __future__ import annotations

import ast
import builtins
import sys
from collections import defaultdict, deque
from collections.abc import Iterable

from common.api_mapping.scan.names import METHODS
from common.api_mapping.scan.scopes import Binding, Scope, dotted
from common.api_mapping.scan.structure import advice

__all__ = ["LAYER", "PLAIN", "TENSOR", "foreign", "kind_of", "plausible"]

PLAIN = "plain"  # no tensor: strings, numbers, containers, modules and what they return
ARRAY = "array"  # of another library, and what is made of it: so are its parts
TENSOR = "tensor"
LAYER = "layer"
_NOTHING = "nothing"  # of a name of which no binding was looked at yet

_LITERALS = (
    ast.Constant,
    ast.JoinedStr,
    ast.List,
    ast.Tuple,
    ast.Dict,
    ast.Set,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.Lambda,
)
_PLAIN_MODULES = {*sys.stdlib_module_names, "matplotlib", "seaborn", "tqdm", "yaml", "datasets", "rich"}
_ARRAY_MODULES = {
    *("numpy", "pandas", "scipy", "sklearn", "PIL", "cv2", "jax", "flax", "tensorflow", "keras", "mindspore", "cupy"),
    *("polars", "pyarrow", "xarray", "skimage", "h5py"),
}
_ARRAY_TYPES = {"ndarray", "NDArray", "DataFrame", "Series"}
_PLAIN_TYPES = {
    "str",
    "int",
    "float",
    "bool",
    "bytes",
    "list",
    "dict",
    "set",
    "tuple",
    "frozenset",
    "complex",
    "List",
    "Dict",
    "Set",
    "Tuple",
    "Sequence",
}
_PLAIN_TYPES |= {
    "Iterable",
    "Iterator",
    "Mapping",
    "MutableMapping",
    "OrderedDict",
    "Callable",
    "Path",
    "defaultdict",
}
_UNDECIDED_BUILTINS = {"getattr", "next", "sum", "max", "min", "abs", "super", "vars", "eval", "round"}
_PLAIN_RESULTS = {
    "item",
    "tolist",
    "numpy",
    "size",
    "dim",
    "numel",
    "join",
    "format",
    "strip",
    "lower",
    "upper",
    "replace",
    "encode",
    "decode",
    "keys",
}
_PLAIN_RESULTS |= {
    "items",
    "startswith",
    "endswith",
    "read",
    "readline",
    "readlines",
    "splitlines",
    "rsplit",
    "title",
    "count",
    "stride",
    "is_floating_point",
}
_SHARED = {
    "add",
    "index",
    "indices",
    "sort",
    "split",
    "values",
    "expand",
    "log",
    "put",
    "sub",
    "resize",
}  # with str, list, dict, Path, Logger, Image
_WITHOUT_ARGUMENTS = {
    "log",
    "exp",
    "sqrt",
    "floor",
    "ceil",
    "abs",
    "neg",
    "sin",
    "cos",
    "item",
    "dim",
    "detach",
    "t",
    "float",
    "double",
    "half",
    "numel",
}
_SAME = {"data", "grad", "T", "mT", "H", "mH", "real", "imag"}  # attributes of a tensor that are tensors
_RETURN_THE_LAYER = {
    *("to", "eval", "train", "cuda", "cpu", "half", "float", "double", "bfloat16", "requires_grad_", "apply"),
    *("share_memory", "type"),
}
_FUNCTIONS_OF_TENSORS = ("torch", "torch.nn.functional", "torch.linalg", "torch.special", "torch.fft")
_DEPTH = 30


class _Deduced:
    """What is known of a file's expressions.

    The kinds of all names are found together: a name's kind is that on which its bindings agree, and whenever it
    changes, the bindings that read it are looked at again. A kind changes three times at most, so the work grows with
    the size of the file, however often names are bound and used. Expressions are kept by their nodes, not by their ids,
    so that no other node can take the place of one that is gone.
    """

    def __init__(self, module: Scope):
        self.expressions: dict[ast.AST, str | None] = {}
        self.layer_classes: dict[tuple[Scope, str], bool] = {}
        self.readers: dict[tuple[Scope, str], set[int]] = defaultdict(set)
        self.reading: int | None = None  #: the binding that is looked at; None when all names are known
        self.looked_at = 0  #: how often a binding was
        self._bindings = [
            (scope, name, binding)
            for scope in module.scopes
            for name, bindings in scope.names.items()
            for binding in bindings
        ]
        module.deduced = self
        self._settle(range(len(self._bindings)))
        circular = {(scope, name) for scope, name, _ in self._bindings if scope.kinds.get(name, _NOTHING) == _NOTHING}
        for scope, name in circular:  # bound to itself alone
            scope.kinds[name] = None
        self._settle(sorted(set().union(*(self.readers[key] for key in circular))))

    def _settle(self, first: Iterable[int]) -> None:
        waiting = deque(first)
        queued = set(waiting)
        while waiting:
            self.reading = waiting.popleft()
            queued.discard(self.reading)
            self.looked_at += 1
            scope, name, binding = self._bindings[self.reading]
            before = scope.kinds.get(name, _NOTHING)
            after = _agreed({before, _of_binding(binding, scope)})
            if after != before:
                scope.kinds[name] = after
                again = self.readers[scope, name] - queued
                queued |= again
                waiting += sorted(again)
        self.reading = None


def kind_of(node: ast.AST | None, scope: Scope, depth: int = 0) -> str | None:
    """``plain``, ``tensor``, ``layer`` or None, where nothing is known. To be asked after the whole file was walked."""
    if node is None or depth > _DEPTH:
        return None
    deduced = scope.module.deduced or _Deduced(scope.module)
    if deduced.reading is not None:
        return _kind(node, scope, depth)
    if node not in deduced.expressions:
        deduced.expressions[node] = _kind(node, scope, depth)
    return deduced.expressions[node]


def _kind(node: ast.AST, scope: Scope, depth: int) -> str | None:
    if isinstance(node, _LITERALS):
        return PLAIN
    if isinstance(node, ast.Name):
        return _of_name(node, scope)
    if isinstance(node, ast.Call):
        return _of_call(node, scope, depth)
    if isinstance(node, ast.Attribute):
        if node.attr in ("shape", "dtype", "device", "ndim"):
            return PLAIN
        kind = kind_of(node.value, scope, depth + 1)
        return kind if node.attr in _SAME or kind in (ARRAY, _NOTHING) else None
    if isinstance(node, ast.Subscript):
        kind = kind_of(node.value, scope, depth + 1)
        return kind if kind in (TENSOR, ARRAY, _NOTHING) else None
    if isinstance(node, ast.BinOp):
        kind = _computed({kind_of(node.left, scope, depth + 1), kind_of(node.right, scope, depth + 1)})
        return PLAIN if kind != TENSOR and _is_text(node.left) else kind
    if isinstance(node, ast.Compare):
        if any(isinstance(operator, ast.Is | ast.IsNot | ast.In | ast.NotIn) for operator in node.ops):
            return PLAIN
        return _computed({kind_of(side, scope, depth + 1) for side in (node.left, *node.comparators)})
    if isinstance(node, ast.BoolOp):
        return _agreed({kind_of(value, scope, depth + 1) for value in node.values})
    if isinstance(node, ast.IfExp):
        return _agreed({kind_of(node.body, scope, depth + 1), kind_of(node.orelse, scope, depth + 1)})
    if isinstance(node, ast.UnaryOp):
        return kind_of(node.operand, scope, depth + 1)
    if isinstance(node, ast.NamedExpr):
        return kind_of(node.value, scope, depth + 1)
    return None


def plausible(call: ast.Call, name: str, kind: str | None) -> bool:
    """Whether ``x.name(...)`` can be the method of a tensor, for an ``x`` of that kind."""
    if kind == TENSOR:
        return True
    if kind is not None:
        return False
    positional, keywords = call.args, {keyword.arg for keyword in call.keywords}
    if name in _WITHOUT_ARGUMENTS and positional:
        return False
    if name not in _SHARED or name == "log":
        return True
    if name == "split":
        return bool(keywords & {"dim", "split_size", "split_size_or_sections"}) or (
            bool(positional)
            and not any(map(_is_text, positional))
            and not keywords & {"sep", "maxsplit"}
            and not _named_like_text(positional[0])
        )
    if name == "sort":
        return bool(positional or keywords) and not keywords & {"key", "reverse"}
    if name == "expand":
        return bool(positional) and not any(map(_is_text, positional))
    return name in ("add", "sub") and bool(keywords & {"alpha", "other"})


def foreign(node: ast.AST, scope: Scope) -> bool:
    """Whether an object is reached through something that was imported, so that its attributes are functions of another
    module: ``np.linalg``."""
    return _root(node, scope) is not None


def _of_name(node: ast.Name, scope: Scope) -> str | None:
    known = scope.find(node.id)
    if known is None:
        return None
    owner, deduced = known[1], scope.module.deduced
    if deduced.reading is None:
        return owner.kinds.get(node.id)
    deduced.readers[owner, node.id].add(deduced.reading)
    return owner.kinds.get(node.id, _NOTHING)


def _of_binding(binding: Binding, owner: Scope) -> str | None:
    if binding.kind in ("foreign", "torch", "class", "function"):
        return PLAIN  # what is called on it are functions, not methods of a value
    if binding.kind == "annotation":
        return _of_annotation(binding.node, owner.parent or owner)
    return kind_of(binding.node, owner) if binding.kind == "expression" else None


def _of_annotation(node: ast.AST, scope: Scope, depth: int = 0) -> str | None:
    """Only what the annotation says outright; of ``X | None`` and ``Optional[X]`` it is X."""
    if depth > _DEPTH:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        kinds = {
            _of_annotation(side, scope, depth + 1)
            for side in (node.left, node.right)
            if not (isinstance(side, ast.Constant) and side.value is None)
        }
        return _agreed(kinds)
    if isinstance(node, ast.Subscript):
        if getattr(node.value, "attr", getattr(node.value, "id", "")) == "Optional":
            return _of_annotation(node.slice, scope, depth + 1)
        return _of_other_type(node.value)
    found = dotted(node, scope)
    if found:
        leaf = found[0].rpartition(".")[2]
        return (
            TENSOR
            if leaf.endswith("Tensor") or leaf == "Parameter"
            else LAYER
            if found[0].startswith("torch.nn.") and leaf[:1].isupper()
            else PLAIN
        )
    return _of_other_type(node)


def _of_other_type(node: ast.AST) -> str | None:
    leaf = getattr(node, "attr", getattr(node, "id", ""))
    return ARRAY if leaf in _ARRAY_TYPES else PLAIN if leaf in _PLAIN_TYPES else None


def _of_call(node: ast.Call, scope: Scope, depth: int) -> str | None:
    found = dotted(node.func, scope)
    if found:
        section, _, leaf = found[0].rpartition(".")
        if section == "torch.nn" and leaf[:1].isupper():
            return TENSOR if leaf in ("Parameter", "Buffer") else LAYER
        if section in _FUNCTIONS_OF_TENSORS and leaf[:1].islower() and advice(found[0]) is None:
            return (
                None if leaf in ("load", "max", "min", "sort", "topk", "unique", "split", "chunk", "unbind") else TENSOR
            )
        return TENSOR if section == "torch" and leaf.endswith("Tensor") else None
    if isinstance(node.func, ast.Name):
        known = scope.find(node.func.id)
        if known is None:
            return PLAIN if hasattr(builtins, node.func.id) and node.func.id not in _UNDECIDED_BUILTINS else None
        if _is_layer_class(node.func.id, known[1]):
            return LAYER
        return _of_module(_root(node.func, scope))
    if not isinstance(node.func, ast.Attribute):
        return None
    root = _root(node.func, scope)
    if root == "copy":
        return kind_of(node.args[0], scope, depth + 1) if node.args else None
    if root:
        return _of_module(root)
    name = node.func.attr
    if name in _PLAIN_RESULTS:
        return PLAIN
    receiver = kind_of(node.func.value, scope, depth + 1)
    if receiver in (ARRAY, _NOTHING):
        return receiver
    if receiver == PLAIN:
        unknown = name in ("get", "pop", "setdefault", "values") or _is_defined(node.func.value, scope)
        return None if unknown else PLAIN
    if receiver == LAYER and name in _RETURN_THE_LAYER:
        return LAYER
    if name in METHODS and (
        receiver == TENSOR
        or name not in _SHARED | {"to", "float", "half", "type", "cuda", "cpu", "max", "min", "split", "unbind"}
    ):
        return TENSOR if name not in ("split", "chunk", "unbind", "sort", "topk") else None
    return None


def _root(node: ast.AST, scope: Scope) -> str | None:
    """Top-level name of the module that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    known = scope.find(node.id) if isinstance(node, ast.Name) else None
    module = known[1].imported.get(node.id) if known else None  # type: ignore[attr-defined]
    if module is None:
        return "xp" if getattr(node, "id", "") == "xp" else None  # the array API's name of a module that is handed on
    return module.partition(".")[0] or "."


def _of_module(root: str | None) -> str | None:
    """What the functions of a module return."""
    return ARRAY if root in _ARRAY_MODULES else PLAIN if root in _PLAIN_MODULES else None


def _is_defined(node: ast.AST, scope: Scope) -> bool:
    """Whether a name is that of a class or function of the file, of which nobody knows what its attributes return."""
    known = scope.find(node.id) if isinstance(node, ast.Name) else None
    return known is not None and any(binding.kind in ("class", "function") for binding in known[0])


def _is_layer_class(name: str, owner: Scope, depth: int = 0) -> bool:
    """Whether a name is that of a class of the file that inherits from one of torch.nn, also by others of the file."""
    answers = owner.module.deduced.layer_classes
    if (owner, name) not in answers:
        answers[owner, name] = False  # for whoever asks while it is looked for: class A(A)
        bases = (base for known in owner.names[name] if known.kind == "class" for base in known.node.bases)
        answers[owner, name] = any(_is_layer_base(base, owner, depth) for base in bases)
    return answers[owner, name]


def _is_layer_base(base: ast.expr, scope: Scope, depth: int) -> bool:
    if found := dotted(base, scope):
        leaf = found[0].rpartition(".")[2]
        return found[0].startswith("torch.nn.") and leaf[:1].isupper() and leaf not in ("Parameter", "Buffer")
    known = scope.find(base.id) if isinstance(base, ast.Name) and depth < _DEPTH else None
    return known is not None and _is_layer_class(base.id, known[1], depth + 1)  # type: ignore[attr-defined]


def _agreed(kinds: set[str | None]) -> str | None:
    """What may be any of ``kinds``."""
    said = kinds - {_NOTHING}
    if len(said) == 1:
        return next(iter(said))
    if said == {PLAIN, ARRAY}:
        return ARRAY
    return TENSOR if TENSOR in said else None if said else _NOTHING


def _computed(kinds: set[str | None]) -> str | None:
    """The result of an operator on values of ``kinds``."""
    first = next((kind for kind in (TENSOR, _NOTHING, ARRAY) if kind in kinds), None)
    return first or (PLAIN if kinds == {PLAIN} else None)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _named_like_text(node: ast.AST) -> bool:
    return any(part in getattr(node, "id", getattr(node, "attr", "")).lower() for part in ("sep", "delim", "char"))
