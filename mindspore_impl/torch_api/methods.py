"""The methods of tensors: those of the mapping, as functions of the tensor; views; those that write; operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import ops

from common.api_mapping.binding import refuses
from common.api_mapping.names import named
from mindspore_impl.mapping import bound
from mindspore_impl.torch_api.dtypes import NAMED, device, dtype, of
from mindspore_impl.torch_api.lifting import in_place, lifted, missing, renamed
from mindspore_impl.torch_api.tensor import Tensor, lower, tracing
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


def _in_traces(function: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    """``other`` while a graph is traced: MindSpore's trace leaves its views out."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        return (other if tracing else function)(*arguments, **keywords)

    call.__name__, call.__doc__ = getattr(function, "__name__", "view"), function.__doc__
    return call


def _swapped(held: ms.Tensor, dim0: int, dim1: int) -> ms.Tensor:
    order = list(range(held.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return ops.transpose(held, tuple(order))


def _part(held: ms.Tensor, dim: int, start: int, length: int) -> ms.Tensor:
    places = [slice(None)] * held.ndim
    places[dim] = slice(start % held.shape[dim] if start < 0 else start, start + length)
    return held[tuple(places)]


def _selected(held: ms.Tensor, dim: int, index: int) -> ms.Tensor:
    places: list[Any] = [slice(None)] * held.ndim
    places[dim] = index
    return held[tuple(places)]


def _parts(held: ms.Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[ms.Tensor, ...]:
    size = held.shape[dim]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        sizes = [min(step, size - start) for start in range(0, size, step)]
    else:
        sizes = list(split_size_or_sections)
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return tuple(_part(held, dim, start, length) for start, length in zip(starts, sizes, strict=True))


def _chunks(held: ms.Tensor, chunks: int, dim: int = 0) -> tuple[ms.Tensor, ...]:
    return _parts(held, -(-held.shape[dim] // chunks), dim)


def _expanded(held: ms.Tensor, *sizes: Any) -> ms.Tensor:
    return ops.broadcast_to(held, _numbers(sizes))


_TRACED = {
    "transpose": _swapped,
    "swapaxes": _swapped,
    "swapdims": _swapped,
    "narrow": _part,
    "select": _selected,
    "split": _parts,
    "chunk": _chunks,
    "expand": _expanded,
}


def bind_methods() -> None:
    """Give `Tensor` its methods."""
    functions = bound(named("torch"))
    methods = {**_shared(functions), **bound(named("torch.Tensor", kinds=("method",)))}
    for name, function in methods.items():
        if name in _OWN or name.endswith("_"):
            continue
        if name in _VIEWS or name in _SEVERAL:
            function = _in_traces(function, _TRACED[name]) if name in _TRACED else function
            call = _view(function, name in _SEVERAL, name in _COPYING)
        else:
            call = lifted(function, name)
        _set(name, call, function)
        written = in_place(function, f"{name}_")
        if name in _WRITING and not refuses(function):
            _set(f"{name}_", written, function)
    for name, function in _WRITTEN_VIEWS.items():
        _set(name, function, function)
    for name, function in {**_OPERATORS, **_CASTS, **_METHODS}.items():
        setattr(Tensor, name, function)
    for name, target in _operators(functions, methods).items():
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


def _to(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
    """Another dtype; devices are checked and move nothing."""
    kind, copies = keywords.pop("dtype", None), keywords.pop("copy", False)
    renamed(keywords)
    for argument in arguments:
        if isinstance(argument, dtype):
            kind = argument
        elif isinstance(argument, Tensor):
            kind = argument.dtype
        elif isinstance(argument, (str, device)):
            device.placed(argument)
    held = self.raw
    if kind is not None and held.dtype != kind.ms:
        return Tensor(held.astype(kind.ms))
    return self.clone() if copies else self


def _moved(kind: str) -> Callable[..., Tensor]:
    def call(self: Tensor, place: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
        device.placed(kind if place is None else place)
        return self

    return call


def _type(self: Tensor, kind: Any = None) -> Any:
    if kind is None:
        return f"torch.{_TYPES[self.dtype.name]}Tensor"
    if isinstance(kind, str):
        kind = next(NAMED[name] for name, text in _TYPES.items() if kind.endswith(f".{text}Tensor"))
    return self.to(kind)


_TYPES = {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long", "int32": "Int", "int16": "Short", "int8":
          "Char", "uint8": "Byte", "bool": "Bool", "complex64": "ComplexFloat", "complex128": "ComplexDouble"}  # fmt: skip


# ---- shapes


def _size(self: Tensor, dim: int | None = None) -> Any:
    return self.shape if dim is None else self.raw.shape[dim]


def _view_or_type(self: Tensor, *shape: Any, **keywords: Any) -> Tensor:
    if keywords or (shape and isinstance(shape[0], dtype)):
        raise NotImplementedError("Tensor.view with a dtype is not available: bits are not read as another dtype.")
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    sizes = _fitting(self, _numbers(sizes))
    return view_of(self, lambda held: ops.reshape(held, sizes))


def _reshape(self: Tensor, *shape: Any, **keywords: Any) -> Tensor:
    sizes = _fitting(self, _numbers(keywords.get("shape", shape)))
    return view_of(self, lambda held: ops.reshape(held, sizes), True)


def _fitting(tensor: Tensor, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that is asked for, of which one size may be -1.

    Raises:
        RuntimeError: the elements do not fit, or -1 could be any number, as it could for no elements.
    """
    held = tensor.raw
    count, known = held.size, int(np.prod([size for size in sizes if size != -1], dtype=np.int64))
    if sizes.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if any(size < -1 for size in sizes):
        raise RuntimeError(f"invalid shape dimension {min(sizes)}")
    if -1 in sizes and not known and not count:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(sizes)} because the unspecified dimension size -1 can "
            "be any value and is ambiguous"
        )
    if known != count if -1 not in sizes else not known or count % known:
        raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {count}")
    return tuple(count // known if size == -1 else size for size in sizes)


def _flip(self: Tensor, *dims: Any) -> Tensor:
    return _FLIP(self, _numbers(dims))


def _numbers(values: Any) -> tuple[int, ...]:
    values = values[0] if len(values) == 1 and isinstance(values[0], (tuple, list)) else values
    return tuple(int(value) for value in values)


def _stride(self: Tensor, dim: int | None = None) -> Any:
    found = self.raw.stride()
    return tuple(found) if dim is None else found[dim]


def _transposed(self: Tensor) -> Tensor:
    return self.permute(*range(self.ndim - 1, -1, -1)) if self.ndim != 1 else self


def _last_transposed(self: Tensor) -> Tensor:
    return self.transpose(-2, -1)


# ---- new tensors


def _new(filling: Callable[[tuple[int, ...], Any], Any]) -> Callable[..., Tensor]:
    def call(self: Tensor, *size: Any, dtype: Any = None, requires_grad: bool = False, **keywords: Any) -> Tensor:
        renamed(keywords)
        made = Tensor(filling(_numbers(size), self.raw.dtype if dtype is None else dtype.ms))
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


# ---- indices


def _is_basic(index: Any) -> bool:
    return index is None or index is Ellipsis or (isinstance(index, (int, slice)) and not isinstance(index, bool))


def _place(index: Any) -> Any:
    """One index as MindSpore takes it."""
    if isinstance(index, Tensor):
        return index.raw
    if isinstance(index, slice):
        parts = [int(part) if isinstance(part, Tensor) else part for part in (index.start, index.stop, index.step)]
        if parts[2] is not None and parts[2] < 0:
            raise ValueError("step must be greater than zero")
        return slice(*parts)
    if isinstance(index, (list, range)) or hasattr(index, "__array__"):
        from mindspore_impl.torch_api.factories import tensor

        return tensor(list(index) if isinstance(index, range) else index).raw
    return index


def _getitem(self: Tensor, index: Any) -> Tensor:
    given = index if isinstance(index, tuple) else (index,)
    basic = all(_is_basic(part) for part in given)
    places = tuple(_place(part) for part in given)
    _check_places(self, places)
    if basic:
        return view_of(self, lambda held: _taken(held, places))
    return Tensor(_taken(self.raw, places))


def _check_places(self: Tensor, places: tuple[Any, ...]) -> None:
    counted = [place for place in places if place is not None and place is not Ellipsis]
    masks = sum(place.ndim - 1 for place in counted if isinstance(place, ms.Tensor) and place.dtype == ms.bool_)
    used = len(counted) - sum(isinstance(place, bool) for place in counted) + masks
    if used > self.ndim:
        raise IndexError(f"too many indices for tensor of dimension {self.ndim}")
    for axis, place in enumerate(places):
        if place is Ellipsis or isinstance(place, (bool, ms.Tensor)) or place is None:
            return
        if isinstance(place, int) and not -self.shape[axis] <= place < self.shape[axis]:
            raise IndexError(f"index {place} is out of bounds for dimension {axis} with size {self.shape[axis]}")


def _taken(held: ms.Tensor, places: tuple[Any, ...]) -> ms.Tensor:
    """``held[places]``; steps are taken by a gather, since the gradient of MindSpore's kernel for them fails."""
    steps = [place.step if isinstance(place, slice) and place.step not in (None, 1) else None for place in places]
    if not any(steps) or not all(map(_is_basic, places)):
        return _recorded(held[places] if len(places) != 1 else held[places[0]], held)
    found = held[tuple(slice(p.start, p.stop) if step else p for p, step in zip(places, steps, strict=True))]
    behind = places.index(Ellipsis) if Ellipsis in places else len(places)
    for number, step in enumerate(steps):
        if step and 0 not in found.shape:
            side = places[:number] if number < behind else places[number + 1 :]
            kept = sum(not isinstance(place, int) for place in side)
            axis = kept if number < behind else found.ndim - 1 - kept
            found = ops.gather(found, ms.Tensor(np.arange(0, found.shape[axis], step)), axis)
    return _recorded(found, held)


def _recorded(found: ms.Tensor, held: ms.Tensor) -> ms.Tensor:
    """An empty part of a tensor belongs to the recording too."""
    if found.size or not held.size or not held._requires_grad or found._requires_grad:
        return found
    return ops.zeros(found.shape, found.dtype) + held.sum() * 0


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    held = self.raw
    places = tuple(_place(part) for part in (index if isinstance(index, tuple) else (index,)))
    _check_places(self, places)
    value = lower(value)
    if not isinstance(value, ms.Tensor):
        value = ms.Tensor(value, held.dtype)
    if not held.size:
        return
    if len(places) == 1 and isinstance(places[0], ms.Tensor) and places[0].dtype == ms.bool_ and value.size == 1:
        mask = places[0]
        mask = ops.reshape(mask, mask.shape + (1,) * (held.ndim - mask.ndim))
        self.write(ops.where(mask, ops.reshape(value, ()).astype(held.dtype), held))
        return
    positions = _taken(ops.reshape(ops.arange(held.size), held.shape), places)
    if not positions.size:
        return
    while value.ndim > positions.ndim and value.shape[0] == 1:
        value = ops.reshape(value, value.shape[1:])
    value = ops.broadcast_to(value.astype(held.dtype), positions.shape)
    scatter = bound({"scatter": named("torch")["scatter"]})["scatter"]
    flat = scatter(ops.reshape(held, (-1,)), 0, ops.reshape(positions, (-1,)), ops.reshape(value, (-1,)))
    self.write(ops.reshape(flat, held.shape))


# ---- operators

_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder", "pow": "pow", "matmul": "matmul",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
_COMPARED = {name: name for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_KNOWN = (int, float, bool, complex)


def _operators(functions: dict[str, Any], methods: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for name, row in _BINARY.items():
        function = methods.get(row) or functions[row]
        made[f"__{name}__"] = _binary(function)
        made[f"__r{name}__"] = _binary(function, True)
        if name != "matmul":
            made[f"__i{name}__"] = in_place(function, f"{name}_")
    for name, row in _COMPARED.items():
        made[f"__{name}__"] = _binary(methods[row])
    made["__neg__"] = lifted(methods["neg"], "neg")
    made["__invert__"] = lifted(methods["bitwise_not"], "bitwise_not")
    made["__abs__"] = lifted(methods["abs"], "abs")
    made["__pos__"] = lambda self: self
    made["__getitem__"], made["__setitem__"] = _getitem, _setitem
    return made


def _binary(function: Callable[..., Any], reflected: bool = False) -> Callable[[Tensor, Any], Any]:
    def call(self: Tensor, other: Any) -> Any:
        held = self._held if self._source is None else self._source.read(self)
        if isinstance(other, Tensor):
            given = other._held if other._source is None else other._source.read(other)
        elif isinstance(other, _KNOWN):
            given = other
        elif hasattr(other, "__array__"):
            given = ms.Tensor(other)
        else:
            return NotImplemented
        if reflected:
            if not isinstance(given, ms.Tensor):
                given = _number(given, held)
            return Tensor(function(given, held))
        return Tensor(function(held, given))

    return call


def _number(value: Any, held: ms.Tensor) -> ms.Tensor:
    """A number in the dtype that it has beside ``held``."""
    kind = of(held.dtype)
    if isinstance(value, complex) and not kind.is_complex:
        return ms.Tensor(value, ms.complex64)
    if isinstance(value, float) and not (kind.is_floating_point or kind.is_complex):
        return ms.Tensor(value, ms.float32)
    if isinstance(value, int) and not isinstance(value, bool) and kind.name == "bool":
        return ms.Tensor(value, ms.int64)
    return ms.Tensor(value, held.dtype)


_OPERATORS: dict[str, Any] = {}


def _masked_where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    from mindspore_impl.torch_api import where

    return where(condition, self, other)


def _apply_(self: Tensor, function: Callable[[Any], Any]) -> Tensor:
    raise missing("torch.Tensor.apply_")


_FLIP = lifted(bound({"flip": named("torch")["flip"]})["flip"], "flip")
_METHODS: dict[str, Any] = {
    "size": _size, "to": _to, "type": _type, "cpu": _moved("cpu"), "cuda": _moved("cuda"), "type_as": lambda self, other: self.to(other.dtype),
    "dim": lambda self: self.raw.ndim, "ndimension": lambda self: self.raw.ndim, "numel": lambda self: self.raw.size,
    "nelement": lambda self: self.raw.size, "view": _view_or_type, "stride": _stride, "contiguous": _contiguous,
    "reshape": _reshape, "flip": _flip,
    "is_contiguous": lambda self, memory_format=None: self.raw.is_contiguous(), "is_floating_point": lambda self: self.dtype.is_floating_point,
    "is_complex": lambda self: self.dtype.is_complex, "element_size": lambda self: self.dtype.itemsize, "T": property(_transposed),
    "mT": property(_last_transposed), "H": property(_transposed), "new_zeros": _new(lambda size, kind: ops.zeros(size, kind)),
    "new_ones": _new(lambda size, kind: ops.ones(size, kind)), "new_empty": _new(lambda size, kind: ops.zeros(size, kind)), "new_full": _new_full,
    "new_tensor": _new_tensor, "copy_": _copy_, "fill_": _fill_, "zero_": _zero_, "detach_": _detach_, "where": _masked_where, "get_device":
    lambda self: -1, "is_same_size": lambda self, other: self.shape == other.shape, "data_ptr": lambda self: self.raw.data_ptr(),
    "pin_memory": lambda self, device=None: self, "is_nonzero": lambda self: bool(self), "numpy_": None, "share_memory_": lambda self: self,
    "resolve_conj": lambda self: self, "detach": _detach, "resolve_neg": lambda self: self,
    "absolute_": lambda self: self.abs_(), "split_with_sizes": lambda self, split_sizes, dim=0: self.split(split_sizes, dim),
}  # fmt: skip
del _METHODS["numpy_"]
