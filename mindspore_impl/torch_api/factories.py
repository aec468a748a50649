"""Functions that make tensors, with torch's arguments ``dtype``, ``device`` and ``requires_grad``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import ops

from common.api_mapping.names import named
from mindspore_impl.mapping import bound
from mindspore_impl.torch_api.dtypes import NAMED, Size, dtype
from mindspore_impl.torch_api.lifting import renamed
from mindspore_impl.torch_api.tensor import Tensor, lift, lower, refuse_tracing

__all__ = [
    "as_tensor",
    "created",
    "empty",
    "empty_like",
    "from_numpy",
    "get_default_dtype",
    "is_tensor",
    "set_default_dtype",
    "tensor",
]

_DEFAULT = [NAMED["float32"]]


def get_default_dtype() -> dtype:
    """The dtype of floating point tensors that are made without one."""
    return _DEFAULT[0]


def set_default_dtype(kind: dtype) -> None:
    """Set the dtype of floating point tensors that are made without one."""
    if not isinstance(kind, dtype) or not kind.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type; received {kind}.")
    _DEFAULT[0] = kind


def _plain(data: Any) -> Any:
    """``data`` with arrays in the place of tensors."""
    if isinstance(data, Tensor):
        refuse_tracing("torch.tensor of a tensor")
        return data.detach().numpy()
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    return data


_PYTHON = {bool: "bool", int: "int64"}


def _kinds(data: Any, found: dict[dtype, None]) -> dict[dtype, None]:
    """Dtypes of the values: of tensors, arrays and NumPy's numbers their own; the default one of Python's floats, int64 of
    its ints.

    Raises:
        TypeError: an array of a dtype that no tensor has.
    """
    if isinstance(data, (list, tuple, range)):
        types = set(map(type, data))
        numbers = types & {bool, int, float, complex}
        for kind in numbers:
            _kinds(kind(0), found)
        for item in data if types > numbers else ():
            if type(item) not in numbers:
                _kinds(item, found)
    elif isinstance(data, Tensor):
        found[data.dtype] = None
    elif isinstance(data, (np.ndarray, np.generic)):
        if data.dtype.name not in NAMED:
            raise TypeError(f"can't convert np.ndarray of type numpy.{data.dtype.name}: no tensor has this dtype.")
        found[NAMED[data.dtype.name]] = None
    elif isinstance(data, complex):
        found[_DEFAULT[0].to_complex()] = None
    else:
        found[NAMED[_PYTHON[type(data)]] if type(data) in _PYTHON else _DEFAULT[0]] = None
    return found


def tensor(
    data: Any, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False, **keywords: Any
) -> Tensor:
    """A tensor of Python values, arrays or tensors, copied."""
    renamed({"device": device, **keywords})
    if isinstance(data, Tensor):
        made = data.detach().clone() if dtype is None else data.detach().clone().to(dtype)
        return Tensor(made.raw).requires_grad_(requires_grad)
    array = np.array(_plain(data))
    if array.dtype == object:
        raise ValueError(f"torch.tensor: nested sequences of equal lengths are needed; received {data!r}.")
    if dtype is not None:
        kind = dtype
    elif not array.size and not isinstance(data, np.ndarray):
        kind = _DEFAULT[0]
    else:
        from mindspore_impl.torch_api.functions import promote_types

        kind = functools.reduce(promote_types, _kinds(data, {}))
    if kind.name == "bfloat16":
        made = Tensor(ms.Tensor(array.astype(np.float32)).astype(ms.bfloat16))
    else:
        made = Tensor(ms.Tensor(np.ascontiguousarray(array.astype(kind.name)).reshape(array.shape)))
    return made.requires_grad_() if requires_grad else made


def as_tensor(data: Any, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """A tensor as it is, anything else made into one."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor of the array's dtype; the values are copied."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    return tensor(ndarray)


def is_tensor(obj: Any) -> bool:
    """Whether this is one of torch's tensors."""
    return isinstance(obj, Tensor)


def _sizes(size: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[int, ...]:
    given = keywords.pop("size", None)
    given = (
        given if given is not None else size[0] if len(size) == 1 and isinstance(size[0], (tuple, list, Size)) else size
    )
    return tuple(int(value) for value in given)


def _filled(value: float) -> Callable[..., Tensor]:
    def call(
        *size: Any, dtype: dtype | None = None, requires_grad: bool = False, out: Any = None, **keywords: Any
    ) -> Tensor:
        shape = _sizes(size, keywords)
        renamed(keywords)
        made = Tensor(ops.full(shape, value, dtype=(dtype or _DEFAULT[0]).ms))
        if out is not None:
            return out.write(made.raw)
        return made.requires_grad_() if requires_grad else made

    return call


zeros, ones = _filled(0), _filled(1)
#: torch leaves the values open; here they are 0
empty = _filled(0)


def empty_like(input: Tensor, *, dtype: dtype | None = None, requires_grad: bool = False, **keywords: Any) -> Tensor:
    """A tensor of the same shape; torch leaves the values open, here they are 0."""
    renamed(keywords)
    made = Tensor(ops.full(input.raw.shape, 0, dtype=(dtype or input.dtype).ms))
    return made.requires_grad_() if requires_grad else made


def _made(name: str, floating: bool) -> Callable[..., Tensor]:
    """One of the mapping's factories with the arguments of torch that it has not."""
    function = bound(named("torch"))[name]

    def call(*arguments: Any, dtype: dtype | None = None, requires_grad: bool = False, **keywords: Any) -> Tensor:
        if dtype is None and floating and _DEFAULT[0].name != "float32":
            dtype = _DEFAULT[0]
        kept = renamed(keywords)
        if dtype is not None:
            kept["dtype"] = dtype.ms
        arguments = [
            value.item() if isinstance(value, Tensor) and name in _OF_NUMBERS else lower(value) for value in arguments
        ]
        made = lift(function(*arguments, **kept))
        if isinstance(made, Tensor) and made.requires_grad:  # of a recorded tensor, whose values it has not
            made = made.detach()
        return made.requires_grad_() if requires_grad else made

    call.__name__, call.__doc__ = name, function.__doc__
    return call


_OF_NUMBERS = ("arange", "linspace", "logspace", "eye", "full")
_FLOATING = ("linspace", "logspace", "eye", "bartlett_window", "blackman_window", "hamming_window", "hann_window")
_OTHERS = ("arange", "full", "full_like", "zeros_like", "ones_like", "scalar_tensor", "tril_indices", "triu_indices")


def created() -> dict[str, Callable[..., Tensor]]:
    """Every factory by torch's name."""
    made = {name: _made(name, name in _FLOATING) for name in (*_FLOATING, *_OTHERS)}
    own = {
        name: globals()[name]
        for name in (
            "tensor",
            "as_tensor",
            "asarray",
            "from_numpy",
            "is_tensor",
            "empty",
            "empty_like",
            "zeros",
            "ones",
        )
    }
    return {**made, **own}


def asarray(obj: Any, *, dtype: dtype | None = None, device: Any = None, **_: Any) -> Tensor:
    """`as_tensor` under NumPy's name."""
    return as_tensor(obj, dtype, device)
