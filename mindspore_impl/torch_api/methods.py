"""The methods of tensors: those of the mapping, as functions of the tensor; views; those that write; operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
from mindspore import ops

from common.api_mapping.binding import refuses
from common.api_mapping.names import named
from mindspore_impl.mapping import bound
from mindspore_impl.torch_api.dtypes import NAMED, device, dtype, here
from mindspore_impl.torch_api.lifting import in_place, lifted, missing, renamed
from mindspore_impl.torch_api.operators import operators_of
from mindspore_impl.torch_api.shaping import flip, last_transposed, numbers, reshape, size, stride, transposed, view
from mindspore_impl.torch_api.tensor import Tensor, lower
from mindspore_impl.torch_api.tracing import TRACED, in_traces
from mindspore_impl.torch_api.typed import made, named_type, type_name
from mindspore_impl.torch_api.views import view_of, views_of

__all__ = ["bind_methods"]

_VIEWS = (
    "diagonal",
    "expand",
    "expand_as",
    "flatten",
    "movedim",
    "narrow",
    "permute",
    "ravel",
    "reshape",
    "reshape_as",
    "select",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unflatten",
    "unfold",
    "unsqueeze",
    "view",
    "view_as",
)
#: methods that torch has in a form that writes, named with an underscore
_WRITING = (
    "abs", "acos", "acosh", "add", "addbmm", "addcdiv", "addcmul", "addmm", "addmv", "addr", "arccos", "arccosh",
    "arcsin", "arcsinh", "arctan2", "arctan", "arctanh", "asin", "asinh", "atan2", "atan", "atanh", "baddbmm",
    "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "ceil",
    "clamp", "clamp_max", "clamp_min", "clip", "conj_physical", "copysign", "cos", "cosh", "cumprod", "cumsum",
    "deg2rad", "digamma", "div", "divide", "eq", "erf", "erfc", "erfinv", "exp2", "exp", "expm1", "fill_diagonal",
    "fix", "float_power", "floor", "floor_divide", "fmod", "frac", "gcd", "ge", "greater", "greater_equal", "gt",
    "heaviside", "hypot", "i0", "igamma", "igammac", "index_add", "index_copy", "index_fill", "index_put",
    "index_reduce", "lcm", "ldexp", "le", "lerp", "less", "less_equal", "lgamma", "log10", "log1p", "log2", "log",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logit", "lt", "masked_fill", "masked_scatter", "mul",
    "multiply", "mvlgamma", "nan_to_num", "ne", "neg", "negative", "nextafter", "not_equal", "polygamma", "pow",
    "put", "rad2deg", "reciprocal", "relu", "remainder", "renorm", "round", "rsqrt", "scatter", "scatter_add",
    "scatter_reduce", "sgn", "sigmoid", "sign", "sin", "sinc", "sinh", "sqrt", "square", "sub", "subtract", "tan",
    "tanh", "tril", "triu", "true_divide", "trunc", "xlogy",
)  # fmt: skip
#: views where the strides allow one, and copies elsewhere
_COPYING = ("flatten", "ravel", "reshape", "reshape_as")
_SEVERAL = ("split", "chunk", "tensor_split", "unbind")
_OWN = {"size", "item", "tolist", "to", "type", "float", "double", "half", "int", "long", "bool", "type_as", "dim", "contiguous", "is_contiguous", "view",
        "new_zeros", "new_ones", "new_full", "new_tensor", "copy_", "numel", "nelement", "where", "fill_", "zero_"}  # fmt: skip


def _view(function: Callable[..., Any], several: bool = False, copies: bool = False) -> Callable[..., Any]:
    make = views_of if several else view_of
    copying = {"may_copy": True} if copies else {}

    def call(self: Tensor, *arguments: Any, **keywords: Any) -> Any:
        given, kept = [lower(argument) for argument in arguments], renamed(keywords)
        return make(self, lambda held: function(held, *given, **kept), **copying)

    return call


def bind_methods() -> None:
    """Give `Tensor` its methods."""
    functions = bound(named("torch"))
    methods = {**_shared(functions), **bound(named("torch.Tensor", kinds=("method",)))}
    for name, function in methods.items():
        if name in _OWN or name.endswith("_"):
            continue
        if name in _VIEWS or name in _SEVERAL:
            function = in_traces(function, TRACED[name]) if name in TRACED else function
            call = _view(function, name in _SEVERAL, name in _COPYING)
        else:
            call = lifted(function, name)
        _set(name, call, function)
        written = in_place(function, f"{name}_")
        if name in _WRITING and not refuses(function):
            _set(f"{name}_", written, function)
    for name, function in _WRITTEN_VIEWS.items():
        _set(name, function, function)
    for name, function in {**_CASTS, **_METHODS}.items():
        setattr(Tensor, name, function)
    for name, target in operators_of(functions, methods).items():
        setattr(Tensor, name, target)


def _set(name: str, call: Any, function: Any) -> None:
    call.__name__ = name
    call.__qualname__ = f"Tensor.{name}"
    call.__doc__ = getattr(function, "__doc__", None)
    setattr(Tensor, name, call)


#: functions of torch that are methods too, and have no row as such
_SHARED = (
    "bitwise_left_shift",
    "bitwise_right_shift",
    "clamp_max",
    "clamp_min",
    "cov",
    "fix",
    "ldexp",
    "masked_scatter",
    "logit",
    "nanmedian",
    "arctan2",
    "corrcoef",
    "index_put",
    "scatter_reduce",
    "slogdet",
    "logdet",
    "svd",
    "conj",
    "angle",
    "real",
    "imag",
    "view_as_real",
    "moveaxis",
    "mode",
    "sgn",
    "cholesky",
    "polygamma",
    "erfinv",
    "isin",
    "bernoulli",
    "vdot",
    "matrix_power",
    "pinverse",
    "softmax",
    "searchsorted",
    "bucketize",
    "cdist",
    "nanquantile",
    "lerp",
    "fmod",
    "put",
    "logcumsumexp",
    "i0",
    "isreal",
    "baddbmm",
    "count_nonzero",
    "prelu",
    "hardshrink",
    "celu",
    "selu",
)


def _shared(functions: dict[str, Any]) -> dict[str, Any]:
    return {name: functions[name] for name in _SHARED if name in functions}


# ---- dtypes and devices


def _cast(name: str) -> Callable[[Tensor], Tensor]:
    kind = NAMED[name].ms

    def call(self: Tensor, memory_format: Any = None) -> Tensor:
        held = self.raw
        return self if held.dtype == kind else Tensor(held.astype(kind))

    return call


_CASTS = {
    name: _cast(kind)
    for name, kind in {
        "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "int": "int32", "long": "int64", "short": "int16",
        "bool": "bool", "byte": "uint8", "char": "int8", "cfloat": "complex64", "cdouble": "complex128",
    }.items()
}  # fmt: skip


_PYTHON = {float: "float64", int: "int64", bool: "bool", complex: "complex128"}


def _to(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
    """Another dtype; devices are checked and move nothing.

    Raises:
        TypeError: an argument that is no dtype, device, tensor or flag.
        RuntimeError: a device that this process does not have.
    """
    kind, copies = keywords.pop("dtype", None), keywords.pop("copy", False)
    if unknown := renamed(keywords):
        raise TypeError(f"to() received an invalid combination of arguments - got {', '.join(unknown)}=")
    for place, argument in enumerate(arguments):
        if isinstance(argument, dtype) or (isinstance(argument, type) and argument in _PYTHON):
            kind = argument
        elif isinstance(argument, Tensor):
            kind = argument.dtype
        elif isinstance(argument, bool) and place:  # non_blocking, then copy
            copies = copies or (argument and isinstance(arguments[place - 1], bool))
        elif isinstance(argument, int) and here().type == "cpu":
            raise RuntimeError("Cannot access accelerator device when none is available.")
        elif isinstance(argument, (str, int, device)):
            device.placed(argument)
        elif argument is not None:
            raise TypeError(f"to() received an invalid combination of arguments - got {type(argument).__name__}")
    kind, held = NAMED[_PYTHON[kind]] if isinstance(kind, type) else kind, self.raw
    if kind is not None and held.dtype != kind.ms:
        return Tensor(held.astype(kind.ms))
    return self.clone() if copies else self


def _moved(kind: str) -> Callable[..., Tensor]:
    def call(self: Tensor, place: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
        device.placed(kind if place is None else place)
        return self

    return call


def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type, or the tensor in another one."""
    return type_name(self.dtype) if dtype is None else self.to(named_type(dtype))


def _type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of another."""
    if not isinstance(other, Tensor):
        raise TypeError(f"type_as(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}")
    return self.to(other.dtype)


def _newly(self: Tensor, *arguments: Any, device: Any = None) -> Tensor:
    """``torch.Tensor(...)`` in the dtype of this one."""
    return made(self.dtype, "Tensor.new", *arguments, device=device)


# ---- new tensors


def _new(filling: Callable[[tuple[int, ...], Any], Any]) -> Callable[..., Tensor]:
    def call(self: Tensor, *size: Any, dtype: Any = None, requires_grad: bool = False, **keywords: Any) -> Tensor:
        renamed(keywords)
        made = Tensor(filling(numbers(size), self.raw.dtype if dtype is None else dtype.ms))
        return made.requires_grad_() if requires_grad else made

    return call


def _new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, **keywords: Any) -> Tensor:
    renamed(keywords)
    return Tensor(ops.full(tuple(size), lower(fill_value), dtype=self.raw.dtype if dtype is None else dtype.ms))


def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None, **keywords: Any) -> Tensor:
    from mindspore_impl.torch_api.factories import tensor

    return tensor(data, dtype=self.dtype if dtype is None else dtype, **keywords)


# ---- writing


def _copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    value = lower(src)
    value = value if isinstance(value, ms.Tensor) else ms.Tensor(value)
    return self.write(value if value.dtype == self.raw.dtype else value.astype(self.raw.dtype))


def _fill_(self: Tensor, value: Any) -> Tensor:
    held, value = self.raw, lower(value)
    if isinstance(value, ms.Tensor):
        return self.write(ops.broadcast_to(value.astype(held.dtype), held.shape))
    return self.write(ops.full(held.shape, value, dtype=held.dtype))


def _zero_(self: Tensor) -> Tensor:
    return _fill_(self, 0)


def _detach_(self: Tensor) -> Tensor:
    self._held, self._source = ops.stop_gradient(self.raw), None
    self._version += 1
    return self


def _contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    held = self.raw
    return self if held.is_contiguous() else Tensor(held.contiguous())


def _detach(self: Tensor) -> Tensor:
    return self.data


def _rearranging(name: str) -> Callable[..., Tensor]:
    """A method that changes the shape of its tensor and not its memory."""

    def call(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        if self._source is not None or (self.requires_grad and self.is_leaf):
            raise NotImplementedError(f"Tensor.{name} of a view or leaf is not available: use {name[:-1]}.")
        found = getattr(self, name[:-1])(*arguments, **keywords)
        self._held = found.raw
        self._version += 1
        return self

    return call


_WRITTEN_VIEWS = {
    f"{name}_": _rearranging(f"{name}_") for name in ("t", "transpose", "squeeze", "unsqueeze", "swapaxes", "swapdims")
}


def _masked_where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    from mindspore_impl.torch_api import where

    return where(condition, self, other)


def _apply_(self: Tensor, function: Callable[[Any], Any]) -> Tensor:
    raise missing("torch.Tensor.apply_")


_METHODS: dict[str, Any] = {
    "size": size, "to": _to, "type": _type, "cpu": _moved("cpu"), "cuda": _moved("cuda"), "type_as": _type_as, "new": _newly,
    "is_signed": lambda self: self.dtype.is_signed,
    "dim": lambda self: self.raw.ndim, "ndimension": lambda self: self.raw.ndim, "numel": lambda self: self.raw.size,
    "nelement": lambda self: self.raw.size, "view": view, "stride": stride, "contiguous": _contiguous,
    "reshape": reshape, "flip": flip,
    "is_contiguous": lambda self, memory_format=None: self.raw.is_contiguous(), "is_floating_point": lambda self: self.dtype.is_floating_point,
    "is_complex": lambda self: self.dtype.is_complex, "element_size": lambda self: self.dtype.itemsize, "T": property(transposed),
    "mT": property(last_transposed), "H": property(transposed), "new_zeros": _new(lambda size, kind: ops.zeros(size, kind)),
    "new_ones": _new(lambda size, kind: ops.ones(size, kind)), "new_empty": _new(lambda size, kind: ops.zeros(size, kind)), "new_full": _new_full,
    "new_tensor": _new_tensor, "copy_": _copy_, "fill_": _fill_, "zero_": _zero_, "detach_": _detach_, "where": _masked_where, "get_device":
    lambda self: -1, "is_same_size": lambda self, other: self.shape == other.shape, "data_ptr": lambda self: self.raw.data_ptr(),
    "pin_memory": lambda self, device=None: self, "is_nonzero": lambda self: bool(self), "numpy_": None, "share_memory_": lambda self: self,
    "resolve_conj": lambda self: self, "detach": _detach, "resolve_neg": lambda self: self,
    "absolute_": lambda self: self.abs_(), "split_with_sizes": lambda self, split_sizes, dim=0: self.split(split_sizes, dim),
}  # fmt: skip
del _METHODS["numpy_"]
