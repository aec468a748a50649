"""Mirrors pytorch_impl.mapping; differs: gradients are taken of a function, and a call can be compiled, for which its
source is written out."""

from __future__ import annotations

import atexit
import copy
import ctypes
import importlib
import itertools
import math
import pkgutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

from common.api_mapping import lock
from common.api_mapping import record as recorder
from common.api_mapping.arrays import Array, DType, Host
from common.api_mapping.binding import bind, refusing
from common.api_mapping.names import Name
from common.api_mapping.row import Case, Row, arrays_of, cotangents, fill
from common.api_mapping.tolerance import Result, arrangement, frozen
from mindspore_impl import shims
from mindspore_impl.mapping_objects import build, optimize, state
from mindspore_impl.shims.nn.base import training

__all__ = ["bound", "expression", "named", "prepare", "record", "resolve", "run"]

_vjp = ops.GradOperation(get_all=True, sens_param=True)
_numbers = itertools.count()


def resolve(target: str) -> Callable[..., Any]:
    """The function or class of a dotted name: ``mint.``, ``ops.``, ``nn.``, ``numpy.``, ``Tensor.`` and so on of
    MindSpore, ``shim.`` of the shims."""
    if target.startswith("shim."):
        if (name := target.removeprefix("shim.")) not in _adapters():
            raise AttributeError(f"mindspore_impl.shims has no {name}")
        return _adapters()[name]
    found: Any = ms
    for part in target.removeprefix("mindspore.").split("."):
        if not hasattr(found, part) and hasattr(found, "__path__"):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


def bound(rows: Mapping[str, Name]) -> dict[str, Any]:
    """What a namespace offers under the names of ``rows``: see `common.api_mapping.binding.bind`."""
    place = ms.get_context("device_target"), ms.__version__
    return bind(rows, lock.load(*place), resolve, partial(refusing, constant=ops.constexpr), place)


def named(row: Row) -> Callable[..., Any] | None:
    """What the namespaces bind a row to on this device: a function, or the class of a module or an optimizer."""
    entry = lock.load(ms.get_context("device_target"), ms.__version__).get(row.name, {})
    target = entry.get("target") or row.shim
    return training(resolve(target)) if target else None


def expression(text: str) -> Callable[..., Any]:
    """The function that a lambda's text describes."""
    names = {"ms": ms, "mint": mint, "ops": ops, "np": np, "mnp": ms.numpy, "Tensor": Tensor, "refuse": _refuse}
    return eval(text, names)


def _refuse(why: str) -> Any:
    """For calls that would end the process."""
    raise RuntimeError(why)


def record() -> AbstractContextManager[recorder.Log]:
    """Note every call of a mapped function of `functional` and `fused` while the block runs: which rows, how often,
    with which arguments and targets."""
    from mindspore_impl import functional, fused  # which import this module

    return recorder.record(functional, fused)


@contextmanager
def _subnormals() -> Iterator[None]:
    """Undo what kernels do to the calling thread: LpNorm's, behind `ops.norm`, leaves it taking subnormal numbers for
    zero, in torch and NumPy as well."""
    try:
        yield
    finally:
        if sys.platform == "linux":
            ctypes.CDLL(None).fesetenv(ctypes.c_void_p(-1))  # FE_DFL_ENV


def run(
    function: Callable[..., Any],
    row: Row,
    case: Case,
    arrays: Sequence[np.ndarray],
    double: bool = False,
    mode: str = "pynative",
) -> Result:
    """Call ``function`` once with the case's arguments, the tensors taken from ``arrays``: see `prepare`."""
    return prepare(function, row, case, double, mode)(arrays, 0)


def prepare(
    function: Callable[..., Any], row: Row, case: Case, double: bool = False, mode: str = "pynative"
) -> Callable[[Sequence[np.ndarray], int], Result]:
    """What makes the case's calls one after the other: a module is built once and a graph compiled once."""
    prepared = None if row.kind == "optimizer" else _Calls(function, row, case, double, mode)

    def call_once(arrays: Sequence[np.ndarray], call: int) -> Result:
        with _subnormals():
            ms.set_seed(0)
            return prepared(arrays, call) if prepared else optimize(function, row, case, double, mode)

    return call_once


class _Calls:
    """The calls of a case: outputs and the gradients of inputs and parameters."""

    def __init__(self, function: Callable[..., Any], row: Row, case: Case, double: bool, mode: str):
        self.row, self.case, self.specs = row, case, list(arrays_of(case))
        self.parameters, self.buffers, self.described = [], [], ""
        if row.kind == "module":
            function, started = build(function, row, case, double)
            self.parameters, self.buffers, self.described = state(function)
            self.described += started
        self.trained = self.parameters if case.gradient else []
        self.positions = [i for i, spec in enumerate(self.specs) if case.gradient and spec.differentiable]
        self.through = row.through
        self.interpreted = _interpreted(function, case, row.through)
        whole = mode == "gradient" and bool(self.positions or self.trained)
        self.call = (
            self.interpreted if mode == "pynative" or whole else _compiled(function, case, len(self.specs), row.through)
        )
        self.function, self.whole, self.compiled = function, whole, None
        # The gradient of a compiled call is a graph too, which takes the layout of its first cotangent for that of all.
        self.laid_out = _laid_out if mode == "pynative" else lambda cotangent, call: Tensor(cotangent)

    def __call__(self, arrays: Sequence[np.ndarray], call: int) -> Result:
        tensors = [_tensor(array, spec.transposed) for array, spec in zip(arrays, self.specs, strict=True)]
        if not self.whole:
            return self._apart(tensors, arrays, call)
        if self.compiled is None:
            with self._restored():
                leaves, _ = arrangement(found := self.interpreted(*tensors), Tensor)
            if not (active := _active(leaves)):
                self.whole, self.call = False, _compiled(self.function, self.case, len(self.specs), self.through)
                return self._apart(tensors, arrays, call)
            self.shapes = [tuple(_in_parts(leaves[i]).shape) for i in active]
            self.dtypes = [_REAL.get(leaves[i].dtype, leaves[i].dtype) for i in active]
            paths = _paths(found, "")
            self.compiled = self._compile_whole([(paths[i], leaves[i].is_complex()) for i in active])
        return self._together(tensors, call)

    def _apart(self, tensors: list[Tensor], arrays: Sequence[np.ndarray], call: int) -> Result:
        """The call, and then its gradient, taken in PyNative."""
        found = self.call(*tensors)
        if self.row.in_place:
            found = (found, tensors[0])
        leaves, layout = arrangement(found, Tensor)
        outputs, layout = self._outputs(leaves), layout + self.described
        if not self.positions and not self.trained:
            return Result(outputs, layout)
        if not (active := _active(leaves)):
            without = [arrays[i] for i in self.positions] + [_plain(p) for p in self.trained]
            return Result(outputs, layout, tuple(map(np.zeros_like, without)))

        def differentiable(*inputs):
            given = list(tensors)
            for i, tensor in zip(self.positions, inputs, strict=True):
                given[i] = tensor
            found = arrangement(self.call(*given), Tensor)[0]
            chosen = [_in_parts(found[i]) for i in active]
            return tuple(chosen) if len(chosen) > 1 else chosen[0]

        like = [_in_parts(leaves[i]) for i in active]
        shapes = [tuple(leaf.shape) for leaf in like]
        sent = [
            self.laid_out(array.astype(leaf.asnumpy().dtype), call)
            for array, leaf in zip(cotangents(self.row, self.case, shapes, call), like, strict=True)
        ]
        given = [tensors[i] for i in self.positions] + [tuple(sent) if len(sent) > 1 else sent[0]]
        with self._restored():
            return Result(outputs, layout, self._products(differentiable, given))

    def _products(self, differentiable: Callable[..., Any], given: list[Any]) -> tuple[np.ndarray, ...]:
        if not self.trained:
            return tuple(_plain(product) for product in _vjp(differentiable)(*given))
        operation = ops.GradOperation(get_all=bool(self.positions), get_by_list=True, sens_param=True)
        found = operation(differentiable, ms.ParameterTuple(self.trained))(*given)
        return tuple(_plain(product) for products in (found if self.positions else [found]) for product in products)

    def _compile_whole(self, paths: list[tuple[str, bool]]) -> Callable[..., Any]:
        """The call and the gradient of its outputs' products with the cotangents, as users compile a training step."""
        sent = [f"c{i}" for i in range(len(paths))]
        parts = [f"parts(found{path})" if is_complex else f"found{path}" for path, is_complex in paths]
        total = " + ".join(f"({part} * {name}).sum()" for part, name in zip(parts, sent, strict=True))
        loss = _written(self.function, self.case, len(self.specs), sent, f"({total}), found", self.through)
        weights = ms.ParameterTuple(self.trained) if self.trained else None
        return ms.jit(ms.value_and_grad(loss, tuple(self.positions) or None, weights, has_aux=True))

    def _together(self, tensors: list[Tensor], call: int) -> Result:
        drawn = cotangents(self.row, self.case, self.shapes, call)
        sent = [Tensor(array).astype(dtype) for array, dtype in zip(drawn, self.dtypes, strict=True)]
        (_, found), products = self.compiled(*tensors, *sent)
        leaves, layout = arrangement(found, Tensor)
        groups = products if self.positions and self.trained else [products]
        flat = [product for group in groups for product in (group if isinstance(group, tuple | list) else [group])]
        gradients = tuple(map(_plain, flat))
        return Result(self._outputs(leaves), layout + self.described, gradients)

    def _outputs(self, leaves: list[Any]) -> tuple[Any, ...]:
        return tuple(_plain(leaf) for leaf in (*leaves, *self.buffers))

    @contextmanager
    def _restored(self) -> Iterator[None]:
        """Statistics are gathered once a call, in whichever way its parts are run."""
        kept = [buffer.asnumpy().copy() for buffer in self.buffers]
        try:
            yield
        finally:
            for buffer, value in zip(self.buffers, kept, strict=True):
                buffer.copy_(Tensor(value))


def _laid_out(cotangent: np.ndarray, call: int) -> Tensor:
    """A cotangent, but for every other call as a transposed view, as it comes from a layer that transposes."""
    if call % 2 or cotangent.ndim < 2:
        return Tensor(cotangent)
    return mint.transpose(Tensor(np.ascontiguousarray(cotangent.swapaxes(-1, -2))), -1, -2)


def _active(leaves: list[Any]) -> list[int]:
    """Which outputs have a gradient."""
    return [
        i
        for i, leaf in enumerate(leaves)
        if isinstance(leaf, Tensor) and leaf.dtype in (ms.float16, ms.float32, ms.float64, *_REAL)
    ]


_REAL = {ms.complex64: ms.float32, ms.complex128: ms.float64}


def _in_parts(leaf: Tensor) -> Tensor:
    """Real and imaginary parts along a last axis of their own; real numbers as they are."""
    return ops.stack((ops.real(leaf), ops.imag(leaf)), -1) if leaf.is_complex() else leaf


def _paths(found: Any, path: str) -> list[str]:
    """How each leaf of `arrangement` is reached, for example ``[1][0]``."""
    if isinstance(found, list | tuple) and arrangement(found, Tensor)[1].startswith("("):
        return [leaf for i, item in enumerate(found) for leaf in _paths(item, f"{path}[{i}]")]
    return [path]


@cache
def _adapters() -> dict[str, Callable[..., Any]]:
    """Every adapter by its name, those of the modules that are named after a section of torch by the section too:
    ``linalg.norm``."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(shims.__path__):
        loaded = importlib.import_module(f"{shims.__name__}.{module.name}")
        prefix = f"{module.name}." if module.name in ("fft", "linalg", "nn", "optim", "special", "tensor") else ""
        found |= {prefix + name: getattr(loaded, name) for name in loaded.__all__}
    return found


def _interpreted(function: Callable[..., Any], case: Case, through: str) -> Callable[..., Any]:
    seen = expression(through) if through else None

    def call(*tensors):
        arguments, keywords = fill((case.arguments, dict(case.keywords)), iter(tensors), _convert)
        found = function(*arguments, **keywords)
        return seen(*found) if seen else found

    return call


def _compiled(function: Callable[..., Any], case: Case, count: int, through: str) -> Callable[..., Any]:
    """The call under ``ms.jit``."""
    return ms.jit(_written(function, case, count, through=through))


def _written(
    function: Callable[..., Any],
    case: Case,
    count: int,
    further: Sequence[str] = (),
    result: str = "found",
    through: str = "",
) -> Callable[..., Any]:
    """The call as a function of its tensors and ``further`` inputs. Graph mode compiles source text, so it is written
    out."""
    names = iter([f"x{i}" for i in range(count)])

    def text(value: Any) -> str:
        if isinstance(value, Array):
            return next(names)
        if isinstance(value, list | tuple):
            inner = "".join(f"{text(item)}, " for item in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner})"
        if isinstance(value, DType):
            return f"ms.{_dtype(value.name)}"
        return f"float('{value}')" if isinstance(value, float) and not math.isfinite(value) else repr(value)

    given = [text(value) for value in case.arguments] + [
        f"{name}={text(value)}" for name, value in case.keywords.items()
    ]
    inputs = ", ".join([*(f"x{i}" for i in range(count)), *further])
    called, name = "function", getattr(function, "__name__", "")
    if case.arguments and isinstance(case.arguments[0], Array) and getattr(Tensor, name, None) is function:
        called, given = (
            f"{given[0]}.{name}",
            given[1:],
        )  # graphs take Tensor.view(x) for another function, which reads strided tensors as they lie in memory
    body = f"        found = {called}({', '.join(given)})\n"
    body += f"        seen = {through}\n        found = seen(*found)\n" if through else ""
    body += f"        return {result}\n"
    source = f"def enclose(function, ms, parts):\n    def call({inputs}):\n{body}\n    return call\n"
    file = Path(_folder()) / f"case{next(_numbers)}.py"
    file.write_text(source, encoding="utf-8")
    space: dict[str, Any] = {"__name__": __name__}
    exec(compile(source, str(file), "exec"), space)
    return space["enclose"](function, ms, _in_parts)


@cache
def _folder() -> str:
    """Removed when the process ends; the parser wants source in a file."""
    folder = tempfile.TemporaryDirectory(prefix="twinlora-mapping-")
    atexit.register(folder.cleanup)
    return folder.name


def _tensor(array: np.ndarray, transposed: bool) -> Tensor:
    if transposed:
        return mint.transpose(Tensor(np.ascontiguousarray(array.swapaxes(-1, -2))), -1, -2)
    return Tensor(np.array(array))


def _dtype(name: str) -> str:
    return {"bool": "bool_"}.get(name, name)


def _convert(value: Any) -> Any:
    if isinstance(value, Host):
        return value.array()
    return getattr(ms, _dtype(value.name)) if isinstance(value, DType) else copy.copy(value)


def _plain(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf.asnumpy().copy()
    return str(leaf).lower().removesuffix("_") if isinstance(leaf, type(ms.float32)) else frozen(leaf)
