"""The databases of torch's own tests as samples of the mapping: `op_db`, `module_db` and `optim_db` of the installed
torch.

They need the package expecttest, as torch's tests do.
"""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from common.api_mapping.arrays import Array, DType
from common.api_mapping.peer import Sample
from common.api_mapping.row import Case, Row, arrays_of
from common.errors import InputError

__all__ = ["DTYPES", "SUITES", "modules", "operators", "optimizers"]

DTYPES = (torch.float32, torch.float64, torch.int64, torch.bool)
_KNOWN = {"float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"}


#: Variants whose samples are arguments of another call: here of the pseudoinverse of a product.
_OTHER_CALLS = (("linalg.pinv", "singular"),)


class _UntranslatableError(Exception):
    """An argument that the mapping has no form for: a device, a layout, a complex tensor."""


def operators(rows: dict[str, Row], limit: int = 0) -> Iterator[Sample]:
    """Samples and error inputs of `op_db` for functions, methods and methods that change their tensor.

    Args:
        rows: the rows that are wanted, by name.
        limit: samples of an operator and dtype; 0 for all.
    """
    from torch.testing._internal.common_methods_invocations import op_db

    for operator in op_db:
        names = [operator.name, *(alias.name for alias in operator.aliases)]
        wanted = [rows[name] for name in _spellings(names) if name in rows]
        if not wanted or (operator.name, operator.variant_test_name) in _OTHER_CALLS:
            continue
        for dtype in DTYPES:
            if dtype in operator.supported_dtypes("cpu"):
                made = _made(operator, dtype)
                for number, sample in enumerate(made[:limit] if limit else made):
                    label = f"{operator.variant_test_name or 'sample'} {number} {str(dtype).removeprefix('torch.')}"
                    yield from _samples(wanted, sample, label)
        if operator.error_inputs_func is not None:
            for number, error in enumerate(_errors(operator)):
                text = f"{error.error_type.__name__}: {str(error.error_regex)[:120]}"
                yield from _samples(wanted, error.sample_input, f"error {number}", text)


def modules(rows: dict[str, Row], limit: int = 0) -> Iterator[Sample]:
    """Samples of `module_db`, in training and evaluation mode."""
    from torch.testing._internal.common_modules import module_db

    for info in module_db:
        row = rows.get(f"torch.nn.{info.module_cls.__name__}")
        if row is None or info.module_cls.__module__.startswith("torch.ao"):
            continue
        for training in (True, False):
            _seed()
            made = list(info.module_inputs_func(info, "cpu", torch.float32, True, training))
            for number, given in enumerate(made[:limit] if limit else made):
                found = _module_sample(row, info.module_cls, given, training)
                if found:
                    case, arrays = found
                    label = f"sample {number} {'training' if training else 'evaluating'}"
                    yield Sample(_with(row, case), case, arrays, label)


def optimizers(rows: dict[str, Row], limit: int = 0) -> Iterator[Sample]:
    """The constructor arguments of `optim_db`, in the mapping's twenty steps."""
    from torch.testing._internal.common_optimizers import optim_db

    for info in optim_db:
        row = rows.get(f"torch.optim.{info.optim_cls.__name__}")
        if row is None:
            continue
        made = list(info.optim_inputs_func("cpu"))
        for number, given in enumerate(made[:limit] if limit else made):
            case = Case((), setup=dict(given.kwargs))
            yield Sample(_with(row, case), case, (), f"{number} {given.desc}")


SUITES = {"operators": operators, "modules": modules, "optimizers": optimizers}


def _spellings(names: list[str]) -> list[str]:
    return [
        f"{parent}.{name}{end}"
        for name in names
        for parent, end in (("torch", ""), ("torch.Tensor", ""), ("torch.Tensor", "_"))
    ]


def _seed() -> None:
    torch.default_generator.manual_seed(0)
    np.random.seed(0)  # torch's databases draw from the global generators
    random.seed(0)


def _made(operator: Any, dtype: torch.dtype) -> list[Any]:
    _seed()
    gradient = operator.supports_autograd and dtype.is_floating_point
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(operator.sample_inputs("cpu", dtype, requires_grad=gradient))


def _errors(operator: Any) -> list[Any]:
    _seed()
    try:
        return list(operator.error_inputs("cpu"))
    except Exception as error:
        raise InputError(f"torch's error inputs of {operator.name} cannot be made: {error}") from error


_DEFAULTS = {"device": "cpu", "requires_grad": False, "layout": torch.strided, "pin_memory": False}
_WEIGHT_FIRST = (
    "torch.nn.functional.embedding",
    "torch.nn.functional.embedding_bag",
)  #: in the database, not in the call


def _is_default(name: str, value: Any) -> bool:
    return name in _DEFAULTS and _DEFAULTS[name] == value


def _samples(wanted: list[Row], sample: Any, label: str, refused: str = "") -> Iterator[Sample]:
    ordered = (sample.input, *sample.args)
    named = {name: value for name, value in sample.kwargs.items() if not _is_default(name, value)}
    if wanted[0].name in _WEIGHT_FIRST:
        ordered = (ordered[1], ordered[0], *ordered[2:])
    for row in wanted:
        tensor = isinstance(sample.input, torch.Tensor)
        if row.name.startswith("torch.Tensor.") and not tensor:
            continue
        arrays: list[np.ndarray] = []
        try:
            given = _translated(ordered, arrays, row.in_place)
            keywords = {name: _translated(value, arrays, row.in_place) for name, value in named.items()}
        except _UntranslatableError:
            continue
        gradient = any(spec.differentiable for spec in arrays_of((given, keywords)))
        case = Case(given, keywords, gradient)
        yield Sample(_with(row, case), case, tuple(arrays), label, refused)


def _with(row: Row, case: Case) -> Row:
    return replace(row, cases=(case,))


def _translated(value: Any, arrays: list[np.ndarray], in_place: bool = False) -> Any:
    """The mapping's form of an argument; the values of tensors are appended to ``arrays``."""
    if isinstance(value, torch.Tensor):
        name = str(value.dtype).removeprefix("torch.")
        unusual = (
            value.layout != torch.strided or value.is_conj() or value.is_quantized or value.ndim > 32
        )  # as NumPy's
        if name not in _KNOWN or unusual:
            raise _UntranslatableError
        arrays.append(value.detach().resolve_neg().numpy().copy())
        return Array("sample", tuple(value.shape), name, fixed=in_place or not value.requires_grad)
    if isinstance(value, torch.dtype):
        name = str(value).removeprefix("torch.")
        if name not in _KNOWN:
            raise _UntranslatableError
        return DType(name)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_translated(item, arrays, in_place) for item in value)
    if isinstance(value, dict):
        return {name: _translated(item, arrays, in_place) for name, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise _UntranslatableError


def _module_sample(row: Row, kind: type, given: Any, training: bool) -> tuple[Case, tuple[np.ndarray, ...]] | None:
    held: list[np.ndarray] = []
    arrays: list[np.ndarray] = []
    built, called = given.constructor_input, given.forward_input
    try:
        bound = inspect.signature(kind.__init__).bind(None, *built.args, **built.kwargs)
        setup = {name: value for name, value in bound.arguments.items() if name != "self"}
        setup |= setup.pop("kwargs", {})
        setup = {name: value for name, value in setup.items() if name not in ("device", "dtype")}
        setup = {name: _translated(value, held) for name, value in setup.items()}
        arguments = _translated(tuple(called.args), arrays)
        keywords = {name: _translated(value, arrays) for name, value in called.kwargs.items()}
    except (_UntranslatableError, TypeError):
        return None
    if held:  # constructor's tensors are drawn by the mapping, not taken from a sample
        return None
    return Case(arguments, keywords, True, setup, training), tuple(arrays)
