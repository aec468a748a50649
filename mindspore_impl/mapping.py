"""Mirrors pytorch_impl.mapping; differs: gradients are taken of a function, and a call can be compiled, for which its source is written out."""

from __future__ import annotations

import atexit
import copy
import ctypes
import importlib
import itertools
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

__all__ = ["bound", "expression", "record", "resolve", "run"]

_vjp = ops.GradOperation(get_all=True, sens_param=True)
_numbers = itertools.count()


def resolve(target: str) -> Callable[..., Any]:
    """The function or class of a dotted name: ``mint.``, ``ops.``, ``nn.``, ``numpy.``, ``Tensor.`` and so on of MindSpore, ``shim.`` of the shims."""
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


def expression(text: str) -> Callable[..., Any]:
    """The function that a lambda's text describes."""
    return eval(text, {"ms": ms, "mint": mint, "ops": ops, "np": np, "mnp": ms.numpy, "Tensor": Tensor})


def record() -> AbstractContextManager[recorder.Log]:
    """Note every call of a mapped function of `functional` and `fused` while the block runs: which rows, how often, with which arguments and targets."""
    from mindspore_impl import functional, fused  # which import this module

    return recorder.record(functional, fused)


@contextmanager
def _subnormals() -> Iterator[None]:
    """Undo what kernels do to the calling thread: LpNorm's, behind `ops.norm`, leaves it taking subnormal numbers for zero, in torch and NumPy as well."""
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
    graph: bool = False,
) -> Result:
    """Call ``function`` with the case's arguments, the tensors taken from ``arrays``."""
    with _subnormals():
        return _run(function, row, case, arrays, double, graph)


def _run(
    function: Callable[..., Any], row: Row, case: Case, arrays: Sequence[np.ndarray], double: bool, graph: bool
) -> Result:
    ms.set_seed(0)
    if row.kind == "optimizer":
        return optimize(function, row, case, double, graph)
    parameters, buffers, described = [], [], ""
    if row.kind == "module":
        function = build(function, row, case, double)
        parameters, buffers, described = state(function)
    specs = list(arrays_of(case))
    tensors = [_tensor(array, spec.transposed) for array, spec in zip(arrays, specs, strict=True)]
    call = _compiled(function, case, len(specs)) if graph else _interpreted(function, case)
    found = call(*tensors)
    if row.in_place:
        found = (found, tensors[0])
    leaves, layout = arrangement(found, Tensor)
    outputs, layout = tuple(_plain(leaf) for leaf in (*leaves, *buffers)), layout + described
    parameters = parameters if case.gradient else []
    positions = [i for i, spec in enumerate(specs) if case.gradient and spec.differentiable]
    if not positions and not parameters:
        return Result(outputs, layout)
    active = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.dtype in (ms.float32, ms.float64)]
    if not active:
        return Result(
            outputs,
            layout,
            tuple(np.zeros_like(arrays[i]) for i in positions) + tuple(np.zeros_like(_plain(p)) for p in parameters),
        )

    def differentiable(*inputs):
        given = list(tensors)
        for i, tensor in zip(positions, inputs, strict=True):
            given[i] = tensor
        chosen = [arrangement(call(*given), Tensor)[0][i] for i in active]
        return tuple(chosen) if len(chosen) > 1 else chosen[0]

    sent = [
        Tensor(array.astype(outputs[i].dtype))
        for array, i in zip(cotangents(row, case, [outputs[i].shape for i in active]), active, strict=True)
    ]
    given = [tensors[i] for i in positions] + [tuple(sent) if len(sent) > 1 else sent[0]]
    if not parameters:
        return Result(outputs, layout, tuple(_plain(product) for product in _vjp(differentiable)(*given)))
    found = ops.GradOperation(get_all=bool(positions), get_by_list=True, sens_param=True)(
        differentiable, ms.ParameterTuple(parameters)
    )(*given)
    return Result(
        outputs,
        layout,
        tuple(_plain(product) for products in (found if positions else [found]) for product in products),
    )


@cache
def _adapters() -> dict[str, Callable[..., Any]]:
    """Every adapter by its name, those of the modules that are named after a section of torch by the section too: ``linalg.norm``."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(shims.__path__):
        loaded = importlib.import_module(f"{shims.__name__}.{module.name}")
        prefix = f"{module.name}." if module.name in ("linalg", "nn", "optim", "special", "tensor") else ""
        found |= {prefix + name: getattr(loaded, name) for name in loaded.__all__}
    return found


def _interpreted(function: Callable[..., Any], case: Case) -> Callable[..., Any]:
    def call(*tensors):
        arguments, keywords = fill((case.arguments, dict(case.keywords)), iter(tensors), _convert)
        return function(*arguments, **keywords)

    return call


def _compiled(function: Callable[..., Any], case: Case, count: int) -> Callable[..., Any]:
    """The call under ``ms.jit``. Graph mode compiles source text, so the call is written as a function of its tensors."""
    names = iter([f"x{i}" for i in range(count)])

    def text(value: Any) -> str:
        if isinstance(value, Array):
            return next(names)
        if isinstance(value, list | tuple):
            inner = "".join(f"{text(item)}, " for item in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner})"
        if isinstance(value, DType):
            return f"ms.{_dtype(value.name)}"
        return f"float('{value}')" if isinstance(value, float) and abs(value) == float("inf") else repr(value)

    given = [text(value) for value in case.arguments] + [
        f"{name}={text(value)}" for name, value in case.keywords.items()
    ]
    inputs = ", ".join(f"x{i}" for i in range(count))
    called, name = "function", getattr(function, "__name__", "")
    if case.arguments and isinstance(case.arguments[0], Array) and getattr(Tensor, name, None) is function:
        called, given = (
            f"{given[0]}.{name}",
            given[1:],
        )  # graphs take Tensor.view(x) for another function, which reads strided tensors as they lie in memory
    source = f"def enclose(function, ms):\n    def call({inputs}):\n        return {called}({', '.join(given)})\n\n    return call\n"
    file = Path(_folder()) / f"case{next(_numbers)}.py"
    file.write_text(source, encoding="utf-8")
    space: dict[str, Any] = {"__name__": __name__}
    exec(compile(source, str(file), "exec"), space)
    return ms.jit(space["enclose"](function, ms))


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
