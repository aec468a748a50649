"""The tensor that networks see: torch's methods around one of MindSpore's tensors.

MindSpore's own class has other meanings under torch's names (``x.size``, ``x.transpose(1, 2)``, ``x.split(2)``), which
its library and the adapters rely on, so its methods stay as they are. A tensor here *holds* one, in ``raw``; its
methods are the mapping's functions. That costs below a microsecond for each operation, and it lets writes reach what
a tensor is a view of, which MindSpore's tensors do not: a write makes a new value, with its gradient, and puts it into
every base, from which other views are read anew.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore._c_expression import TensorPy
from mindspore.graph.api import _pynative_executor as tape

from mindspore_impl.torch_api.dtypes import NAMED, Size, device, dtype, here, of
from mindspore_impl.torch_api.printing import written

__all__ = ["Tensor", "lift", "lower", "raw", "recording", "refuse_tracing", "tracing"]

recording = tape.enable_grad
#: names of the traces that run; values of tensors are unknown to them
tracing: list[str] = []
#: whether dropout drops: not while a graph is compared with the function that it was made of
dropout: list[bool] = [True]


def refuse_tracing(what: str) -> None:
    """Stop a value of a tensor from becoming a constant of a graph.

    Raises:
        RuntimeError: a graph is being traced.
    """
    if tracing:
        raise RuntimeError(
            f"{what} reads the value of a tensor, which a compiled graph does not know: it would become a constant. "
            "Take it out of the compiled function, or use torch.where and masks."
        )


class Tensor:
    """A tensor with torch's methods. ``raw`` is MindSpore's tensor of the same values."""

    __slots__ = ("__dict__", "__weakref__", "_held", "_source", "_version")

    def __init__(self, held: Any = (), source: Any = None, *sizes: int):
        if not isinstance(held, TensorPy):  # torch.Tensor([1, 2]) and torch.Tensor(2, 3)
            held, source = _float(held, source, sizes), None
        elif held._requires_grad and held.dtype in _COUNTED:
            held = ms.ops.stop_gradient(held)  # MindSpore records what compares, counts and finds places too
        self._held, self._source, self._version = held, source, 0

    @property
    def raw(self) -> ms.Tensor:
        """MindSpore's tensor; of a view, after what was written into its base."""
        return self._held if self._source is None else self._source.read(self)

    def write(self, value: ms.Tensor) -> Tensor:
        """Replace the values, in every view of the same memory too.

        Args:
            value: of a shape that broadcasts to this one's.

        Raises:
            RuntimeError: the shape or dtype does not fit, or the tensor is a leaf whose gradient is recorded.
        """
        held = self.raw
        value = _fitted(value, held)
        if self._source is not None:
            self._source.write(self, value)
        elif (held._requires_grad and held._is_leaf) or isinstance(held, ms.Parameter):
            if recording() and held._requires_grad:
                raise RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place operation. "
                    "Use: with torch.no_grad()."
                )
            if tracing:
                self._held = value
            else:
                held.copy_(value)
        elif held._requires_grad and not recording():
            raise RuntimeError(
                "A tensor whose gradient is recorded cannot be changed under torch.no_grad(): MindSpore cannot leave "
                "the change out of the recording. Change a copy: x.detach().clone()."
            )
        else:
            self._held = value
        self._version += 1
        return self

    # ---- what a tensor is

    @property
    def shape(self) -> Size:
        return Size(self.raw.shape)

    @property
    def dtype(self) -> dtype:
        return of(self.raw.dtype)

    @property
    def device(self) -> device:
        return here()

    @property
    def ndim(self) -> int:
        return self.raw.ndim

    @property
    def itemsize(self) -> int:
        return self.raw.itemsize

    @property
    def nbytes(self) -> int:
        return self.raw.nbytes

    @property
    def is_cuda(self) -> bool:
        return here().type == "cuda"

    @property
    def is_cpu(self) -> bool:
        return here().type == "cpu"

    is_sparse = is_quantized = is_meta = is_nested = is_mps = is_xla = False
    layout = "torch.strided"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"torch.Tensor.{name} is not available on MindSpore: no replacement of it was verified. "
            "See docs/api_mapping.md for what is."
        )

    # ---- values

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A copy as an array."""
        refuse_tracing("numpy()")
        held = self.raw
        if held._requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return np.array(_array(held))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        found = self.numpy()
        return found if dtype is None else found.astype(dtype)

    def tolist(self) -> Any:
        refuse_tracing("tolist()")
        return _array(self.raw).tolist()

    def item(self) -> Any:
        refuse_tracing("item()")
        held = self.raw
        if held.size != 1:
            raise RuntimeError(f"a Tensor with {held.size} elements cannot be converted to Scalar")
        return _array(held).item()

    def __bool__(self) -> bool:
        refuse_tracing("A condition")
        if self.raw.size != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.is_floating_point:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self.raw.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.raw.shape[0]

    def __iter__(self) -> Any:
        if not self.raw.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, item: Any) -> bool:
        return bool((self == item).any())

    def __hash__(self) -> int:
        return id(self)

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec) if tracing or self.raw.ndim else format(self.item(), spec)

    def __repr__(self) -> str:
        if tracing:
            return f"tensor(traced, shape={tuple(self.shape)})"
        from mindspore_impl.torch_api.factories import get_default_dtype

        kept, kind, usual = written(_array(self.raw), "tensor("), self.dtype, get_default_dtype()
        ending = f", size={tuple(self.shape)}" if not self.raw.size and self.raw.ndim != 1 else ""
        if kind not in (usual, usual.to_complex()) and (kind.name not in ("int64", "bool") or not self.raw.size):
            ending += f", dtype={kind}"
        return f"tensor({kept}{ending}{', requires_grad=True' if self.requires_grad else ''})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.raw._is_leaf:
            raise RuntimeError("Only Tensors created explicitly by the user support the deepcopy protocol")
        copied = Tensor(_fresh(self.raw))
        copied.requires_grad_(self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __reduce__(self) -> Any:
        raise RuntimeError("Tensors are not pickled. Use torch.save, or x.numpy().")

    # ---- gradients; `autograd` adds backward

    @property
    def requires_grad(self) -> bool:
        return bool(self.raw._requires_grad)

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.requires_grad_(flag)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Whether operations on this tensor are recorded; only of leaves."""
        held = self.raw
        if not held._is_leaf:
            if requires_grad:
                return self
            raise RuntimeError("you can only change requires_grad flags of leaf variables.")
        kind = of(held.dtype)
        if requires_grad and not (kind.is_floating_point or kind.is_complex):
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if isinstance(held, ms.Parameter):
            held.requires_grad = bool(requires_grad)
        else:
            tape.set_grad_flag(True)
            if requires_grad and self._source is not None:
                self._held, self._source = _fresh(held), None  # a leaf of its own
                held = self._held
            held.requires_grad_(bool(requires_grad))
        return self

    @property
    def is_leaf(self) -> bool:
        return bool(self.raw._is_leaf) or not self.requires_grad

    @property
    def grad_fn(self) -> Any:
        return self.raw._grad_node

    @property
    def grad(self) -> Tensor | None:
        held = self._held
        found = held._grad
        if found is None:
            return None
        kept = self.__dict__.get("_gradient")
        if kept is None or kept._source.leaf is not held:
            kept = self.__dict__["_gradient"] = Tensor(found, _Gradient(held))
        return kept

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        kept = self.__dict__.pop("_gradient", None)
        if kept is not None:
            kept._held, kept._source = kept.raw, None  # whoever holds it keeps the old values
        if value is None:
            self._held._grad = None
        else:
            if tuple(value.shape) != tuple(self.shape):
                raise RuntimeError(f"assigned grad has shape {value.shape}, and the tensor has {self.shape}.")
            self._held._grad = value.raw

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is no leaf, in ``grad``."""
        held = self.raw
        if held._is_leaf:
            return

        def keep(gradient: ms.Tensor) -> ms.Tensor:
            held._grad = gradient if held._grad is None else held._grad + gradient
            return gradient

        if not self.__dict__.get("_retains"):
            self.__dict__["_retains"] = True
            held.register_hook(keep)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Any:
        """Call ``hook`` with the gradient; what it returns replaces it."""

        def apply(gradient: ms.Tensor) -> ms.Tensor:
            found = hook(Tensor(gradient))
            return gradient if found is None else found.raw

        return self.raw.register_hook(apply)

    @property
    def data(self) -> Tensor:
        """The values without gradient; a write into them reaches this tensor."""
        return Tensor(ms.ops.stop_gradient(self.raw), _Data(self))

    @data.setter
    def data(self, value: Tensor) -> None:
        held, given = self.raw, value.raw
        if isinstance(held, ms.Parameter) and held.shape == given.shape and held.dtype == given.dtype:
            held.set_data(ms.Tensor(_fresh(given)))
        elif isinstance(held, ms.Parameter):
            held.set_data(ms.Tensor(_fresh(given)), slice_shape=True)
        else:
            trained = held._requires_grad
            self._held, self._source = _fresh(given), None
            if trained:
                self._held.requires_grad_()
        self._version += 1


class _Gradient:
    """The values of a leaf's gradient."""

    __slots__ = ("leaf",)

    def __init__(self, leaf: Any):
        self.leaf = leaf

    def read(self, tensor: Tensor) -> ms.Tensor:
        if self.leaf._grad is not None and self.leaf._grad is not tensor._held:
            tensor._held = self.leaf._grad
            tensor._version += 1
        return tensor._held

    def write(self, tensor: Tensor, value: ms.Tensor) -> None:
        tensor._held = value
        if self.leaf._grad is not None:
            self.leaf._grad = value


class _Data:
    """The values of a tensor, apart from the recording, which is not kept alive."""

    __slots__ = ("base", "seen")

    def __init__(self, base: Tensor):
        self.base, self.seen = weakref.ref(base), base._version

    def read(self, tensor: Tensor) -> ms.Tensor:
        base = self.base()
        if base is not None:
            now = base.raw
            if base._version != self.seen:
                tensor._held, self.seen = ms.ops.stop_gradient(now), base._version
                tensor._version += 1
        return tensor._held

    def write(self, tensor: Tensor, value: ms.Tensor) -> None:
        base = self.base()
        tensor._held = value
        if base is None:
            return
        previous = tape.enable_grad()
        tape.set_enable_grad(False)
        try:
            base.write(value)
        finally:
            tape.set_enable_grad(previous)
        self.seen = base._version


def _float(data: Any, second: Any, sizes: tuple[int, ...]) -> ms.Tensor:
    """A tensor of the default dtype of values, or of a size; a tensor as it is."""
    from mindspore_impl.torch_api.factories import get_default_dtype
    from mindspore_impl.torch_api.typed import made

    if isinstance(data, Tensor):
        return data.detach().raw
    given = () if isinstance(data, tuple) and not data else (data,)
    return made(get_default_dtype(), "torch.Tensor", *given, *(() if second is None else (second, *sizes))).raw


#: dtypes that have no gradients
_COUNTED = frozenset(
    kind.ms for kind in NAMED.values() if kind.name in ("bool", "uint8", "int8", "int16", "int32", "int64")
)
_ORDER = {"bool": 0, "uint8": 1, "int8": 1, "int16": 1, "int32": 1, "int64": 1, "complex64": 3, "complex128": 3}


def _fitted(value: ms.Tensor, held: ms.Tensor) -> ms.Tensor:
    """``value`` in the shape and dtype of ``held``."""
    if value.dtype != held.dtype:
        given, own = of(value.dtype), of(held.dtype)
        if _ORDER.get(given.name, 2) > _ORDER.get(own.name, 2):
            raise RuntimeError(f"result type {given.name} can't be cast to the desired output type {own.name}")
        value = value.astype(held.dtype)
    if value.shape != held.shape:
        try:
            fits = np.broadcast_shapes(value.shape, held.shape) == tuple(held.shape)
        except ValueError:
            fits = False
        if not fits:
            raise RuntimeError(f"output with shape {held.shape} doesn't match the broadcast shape of {value.shape}")
        value = ms.ops.broadcast_to(value, held.shape)
    return value


def _array(held: ms.Tensor) -> np.ndarray:
    """The values. Operations run apart from this thread, so that their errors may come up here."""
    try:
        return (held.astype(ms.float32) if held.dtype == ms.bfloat16 else held).asnumpy()
    except Exception:
        tape.set_grad_flag(True)  # an error switches the recording off
        raise


def _fresh(held: ms.Tensor) -> ms.Tensor:
    """A copy of the values without history."""
    if held.dtype == ms.bfloat16:
        return ms.Tensor(held.astype(ms.float32).asnumpy()).astype(ms.bfloat16)
    return ms.Tensor(held.asnumpy().copy())


def raw(value: Any) -> Any:
    """MindSpore's tensor of a tensor; anything else as it is."""
    return value.raw if isinstance(value, Tensor) else value


def _lower_many(value: Any) -> Any:
    return [lower(item) for item in value]


_LOWER: dict[type, Callable[[Any], Any]] = {
    Tensor: lambda value: value._held if value._source is None else value._source.read(value),
    tuple: lambda value: tuple([lower(item) for item in value]),
    list: _lower_many,
    Size: tuple,
    dtype: lambda value: value.ms,
}


def lower(value: Any) -> Any:
    """``value`` with MindSpore's tensors and dtypes in the place of torch's."""
    found = _LOWER.get(type(value))
    if found is not None:
        return found(value)
    return value.raw if isinstance(value, Tensor) else value


def lift(value: Any) -> Any:
    """``value`` with torch's tensors in the place of MindSpore's."""
    if isinstance(value, TensorPy):
        return Tensor(value)
    if isinstance(value, tuple):
        return tuple([lift(item) for item in value])
    if isinstance(value, list):
        return [lift(item) for item in value]
    return value
