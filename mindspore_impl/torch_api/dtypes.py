"""torch's dtypes, devices and sizes, as objects of their own."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np

__all__ = ["NAMED", "Size", "device", "dtype", "finfo", "here", "iinfo", "of"]


class dtype:  # noqa: N801  (torch's name)
    """One of torch's dtypes; ``ms`` is MindSpore's."""

    __slots__ = ("is_complex", "is_floating_point", "is_signed", "itemsize", "ms", "name")

    def __init__(self, name: str, kind: Any, itemsize: int):
        self.name, self.ms, self.itemsize = name, kind, itemsize
        self.is_floating_point = "float" in name
        self.is_complex = name.startswith("complex")
        self.is_signed = name not in ("bool", "uint8")

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def to_complex(self) -> dtype:
        """The complex dtype whose parts have this one; of float16 and bfloat16 as of float32, as tensors have no other."""
        return self if self.is_complex else NAMED["complex128" if self.name == "float64" else "complex64"]

    def to_real(self) -> dtype:
        """The dtype of the parts of a complex one."""
        return NAMED[{"complex64": "float32", "complex128": "float64"}.get(self.name, self.name)]

    def __reduce__(self) -> Any:
        return (NAMED.__getitem__, (self.name,))


class _Unknown(dtype):
    """A dtype that can be named and asked for its limits, and that no tensor has."""

    __slots__ = ()

    def __init__(self, name: str):
        self.name, self.itemsize, self.is_floating_point, self.is_complex, self.is_signed = name, 1, True, False, True

    def __getattr__(self, name: str) -> Any:
        if name == "ms":
            raise NotImplementedError(f"torch.{self.name} is not available on MindSpore: no tensor has this dtype.")
        raise AttributeError(name)


_SIZES = {"bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
          "complex64": 8, "complex128": 16}  # fmt: skip
_ALIASES = {"float": "float32", "double": "float64", "half": "float16", "int": "int32", "long": "int64", "short": "int16", "cfloat": "complex64",
            "cdouble": "complex128"}  # fmt: skip

#: every dtype by torch's names
NAMED: dict[str, dtype] = {
    name: dtype(name, getattr(ms, "bool_" if name == "bool" else name), size) for name, size in _SIZES.items()
}
_OF = {kind.ms: kind for kind in NAMED.values()}
NAMED |= {alias: NAMED[name] for alias, name in _ALIASES.items()}
NAMED |= {name: _Unknown(name) for name in ("float8_e4m3fn", "float8_e5m2")}


def of(kind: Any) -> dtype:
    """torch's dtype for one of MindSpore."""
    return _OF[kind]


class Size(tuple):
    """The shape of a tensor."""

    __slots__ = ()

    def numel(self) -> int:
        """Number of elements."""
        return int(np.prod(self, dtype=np.int64))

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __getitem__(self, key: Any) -> Any:
        found = tuple.__getitem__(self, key)
        return Size(found) if isinstance(key, slice) else found


_KINDS = ("cpu", "cuda", "npu", "meta", "mps", "xpu", "hpu", "mlu", "musa", "xla")


class device:  # noqa: N801  (torch's name)
    """A kind of device and its number.

    A process of MindSpore has one device, so that its names are accepted everywhere and move nothing. Others can be named,
    to compare with; a tensor that is asked to be there raises an error (`placed`).

    Raises:
        RuntimeError: torch has no such kind.
    """

    __slots__ = ("index", "type")

    def __init__(self, type: Any = "cpu", index: int | None = None):
        if isinstance(type, device):
            type, index = type.type, type.index
        if isinstance(type, int):
            type, index = here().type, type
        name, _, number = type.partition(":")
        if name not in _KINDS:
            raise RuntimeError(f"Expected one of {', '.join(_KINDS)} device type at start of device string: {type}")
        self.type, self.index = name, int(number) if number else index

    @classmethod
    def placed(cls, place: Any) -> device:
        """The device that a tensor is asked to be on.

        Raises:
            RuntimeError: this process does not have it.
        """
        made = cls(place)
        target = ms.get_context("device_target")
        known = {"CPU": ("cpu",), "GPU": ("cpu", "cuda"), "Ascend": ("cpu", "npu", "cuda")}[target]
        if made.type == "meta":
            raise RuntimeError("The device meta is not available: MindSpore's tensors have values. Use the CPU.")
        if made.type not in known:
            raise RuntimeError(
                f"device {made} is not available: this process runs on {target}. Choose the device before the import, "
                "with mindspore.set_device, and here one of: " + ", ".join(known) + "."
            )
        return made

    def __enter__(self) -> device:
        return device.placed(self)

    def __exit__(self, *_: Any) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (")" if self.index is None else f", index={self.index})")


_HERE: list[device] = []


def here() -> device:
    """The device of this process."""
    if not _HERE:
        target = ms.get_context("device_target")
        _HERE.append(device({"CPU": "cpu", "GPU": "cuda:0", "Ascend": "npu:0"}[target]))
    return _HERE[0]


#: limits of the dtypes that NumPy has not
_LIMITS = {
    "bfloat16": {"bits": 16, "eps": 2.0**-7, "max": (2.0 - 2.0**-7) * 2.0**127, "tiny": 2.0**-126},
    "float8_e4m3fn": {"bits": 8, "eps": 2.0**-3, "max": 448.0, "tiny": 2.0**-6},
    "float8_e5m2": {"bits": 8, "eps": 2.0**-2, "max": 57344.0, "tiny": 2.0**-14},
}


class finfo:  # noqa: N801  (torch's name)
    """Limits of a floating point dtype."""

    def __init__(self, type: dtype = NAMED["float32"]):
        if not type.is_floating_point:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{type}'")
        self.dtype = type.name
        if type.name in _LIMITS:
            limits = _LIMITS[type.name]
        else:
            found = np.finfo(type.name)
            limits = {name: float(getattr(found, name)) for name in ("bits", "eps", "max", "tiny")}
        self.bits, self.eps, self.max, self.tiny = int(limits["bits"]), limits["eps"], limits["max"], limits["tiny"]
        self.min, self.smallest_normal, self.resolution = -self.max, self.tiny, float(f"{self.eps:.0e}")


class iinfo:  # noqa: N801  (torch's name)
    """Limits of an integer dtype."""

    def __init__(self, type: dtype):
        if type.is_floating_point or type.is_complex or type.name == "bool":
            raise TypeError(f"torch.iinfo() requires an integer input type; received {type}.")
        found = np.iinfo(type.name)
        self.bits, self.min, self.max, self.dtype = found.bits, int(found.min), int(found.max), type.name
