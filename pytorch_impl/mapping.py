"""Runs one case of the API mapping in this framework and returns plain arrays: values, arrangement and gradients."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from common.api_mapping import record as recorder
from common.api_mapping.arrays import DType, Host
from common.api_mapping.binding import refusing
from common.api_mapping.names import Name
from common.api_mapping.row import Case, Row, arrays_of, cotangents, fill
from common.api_mapping.tolerance import Result, arrangement, frozen
from pytorch_impl.mapping_objects import build, optimize, state

__all__ = ["bound", "expression", "named", "prepare", "record", "resolve", "run"]


def resolve(target: str) -> Callable[..., Any]:
    """The function or class of a dotted name.

    Raises:
        AttributeError: this framework has no such name.
    """
    found: Any = torch
    for part in target.removeprefix("torch.").split("."):
        if not hasattr(found, part) and hasattr(found, "__path__"):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


def bound(rows: Mapping[str, Name]) -> dict[str, Any]:
    """What a namespace offers under the names of ``rows``: torch's own, or what raises an error when it is called."""
    found = {}
    for name, row in rows.items():
        try:
            found[name] = resolve(row.name)
        except (AttributeError, ImportError):
            found[name] = refusing(row, f"{row.name} is not in torch {torch.__version__}. Install a later one.")
    return found


def named(row: Row) -> Callable[..., Any] | None:
    """What the namespaces bind a row to: torch's own function, or the class of a module or an optimizer."""
    return resolve(row.name)


def expression(text: str) -> Callable[..., Any]:
    """The function that a lambda's text describes, written with this framework's own names."""
    return eval(text, {"torch": torch, "np": np})


def record() -> AbstractContextManager[recorder.Log]:
    """Note every call of a mapped function of `functional` and `fused` while the block runs: which rows, how often,
    with which arguments and targets."""
    from pytorch_impl import functional, fused  # which import this module

    return recorder.record(functional, fused)


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
    """What makes the case's calls one after the other: a module is built once and a graph compiled once.

    Args:
        double: compute in float64, for reference.
        mode: ``pynative``, ``graph`` (the call is compiled) or ``gradient`` (the call and its gradient are compiled
            as one graph); MindSpore only.

    Returns:
        A function of the arrays and the number of the call. It returns the outputs and the vector-Jacobian products of
        fixed random cotangents with respect to every differentiable input. A module has more of both, and an optimizer
        other outputs: see `common.api_mapping.modules`.
    """
    if row.kind == "optimizer":
        return lambda arrays, call: optimize(function, row, case, double, mode)
    module, started = build(function, row, case, double) if row.kind == "module" else (None, "")
    return lambda arrays, call: _call(function, module, started, row, case, arrays, call, double)


def _call(
    function: Callable[..., Any],
    module: Any,
    started: str,
    row: Row,
    case: Case,
    arrays: Sequence[np.ndarray],
    call: int,
    double: bool,
) -> Result:
    torch.default_generator.manual_seed(0)  # torch.manual_seed prepares for devices, for milliseconds
    parameters, buffers, described = [], [], ""
    if module is not None:
        function = module
        parameters, buffers, described = state(module)
        described += started
    specs = list(arrays_of(case))
    tensors = [_tensor(array, spec.transposed, double) for array, spec in zip(arrays, specs, strict=True)]
    wanted = [
        tensor.requires_grad_()
        for tensor, spec in zip(tensors, specs, strict=True)
        if case.gradient and spec.differentiable
    ]
    arguments, keywords = fill(
        (case.arguments, dict(case.keywords)), iter(tensors), lambda value: _convert(value, double)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # cases at the edge of what is defined are meant: var of one value
        found = function(*arguments, **keywords)
    if row.through:
        found = expression(row.through)(*found)
    if row.in_place:
        found = (found, tensors[0])
    leaves, layout = arrangement(found, torch.Tensor)
    outputs, layout = tuple(_plain(leaf) for leaf in (*leaves, *buffers)), layout + described
    wanted += parameters if case.gradient else []
    if not wanted:
        return Result(outputs, layout)
    active = [
        torch.view_as_real(leaf.resolve_conj()) if leaf.is_complex() else leaf
        for leaf in leaves
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad
    ]
    sent = [
        torch.from_numpy(array).to(leaf.dtype)
        for array, leaf in zip(cotangents(row, case, [tuple(a.shape) for a in active], call), active, strict=True)
    ]
    products = torch.autograd.grad(active, wanted, sent, allow_unused=True) if active else [None] * len(wanted)
    return Result(
        outputs,
        layout,
        tuple(_plain(torch.zeros_like(x) if g is None else g) for g, x in zip(products, wanted, strict=True)),
    )


def _tensor(array: np.ndarray, transposed: bool, double: bool) -> torch.Tensor:
    if double and np.issubdtype(array.dtype, np.inexact):
        array = array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
    if transposed:
        return torch.from_numpy(np.ascontiguousarray(array.swapaxes(-1, -2))).transpose(-1, -2)
    return torch.from_numpy(np.array(array))


_DOUBLE = {"float32": "float64", "complex64": "complex128"}


def _convert(value: Any, double: bool) -> Any:
    if isinstance(value, Host):
        return value.array()
    if isinstance(value, DType):
        return getattr(torch, _DOUBLE.get(value.name, value.name) if double else value.name)
    return copy.copy(value)


def _plain(leaf: Any) -> Any:
    if isinstance(leaf, torch.Tensor):
        return leaf.numpy(force=True).copy()
    return str(leaf).removeprefix("torch.") if isinstance(leaf, torch.dtype) else frozen(leaf)
