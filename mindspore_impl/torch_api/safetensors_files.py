"""``safetensors.torch``: files of tensors, read and written as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from safetensors import numpy as files
from safetensors import safe_open

from mindspore_impl.torch_api.factories import tensor
from mindspore_impl.torch_api.memory import Storage
from mindspore_impl.torch_api.storing import contiguous
from mindspore_impl.torch_api.tensor import Tensor

__all__ = [
    "load",
    "load_file",
    "load_model",
    "open_file",
    "save",
    "save_file",
    "save_model",
    "storage_ptr",
    "storage_size",
]


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Raises TypeError for bfloat16, which NumPy has not."""
    for name, value in tensors.items():
        if value.dtype.name == "bfloat16":
            raise TypeError(f"safetensors.torch: {name} is bfloat16, which is not written. Save model.float().")
    return {name: contiguous(value.numpy(force=True)) for name, value in tensors.items()}


def save_file(tensors: dict[str, Tensor], filename: Any, metadata: dict[str, str] | None = None) -> None:
    """Write tensors by name."""
    files.save_file(_arrays(tensors), str(filename), metadata)


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of such a file."""
    return files.save(_arrays(tensors), metadata)


def load_file(filename: Any, device: Any = "cpu") -> dict[str, Tensor]:
    """Tensors by name."""
    with safe_open(str(filename), "np") as file:
        return {name: _read(file, name) for name in file.keys()}  # noqa: SIM118


def load(data: bytes) -> dict[str, Tensor]:
    """Tensors of the bytes of a file."""
    return {name: tensor(array) for name, array in files.load(data).items()}


def _read(file: Any, name: str) -> Tensor:
    return _Slice(name, file.get_slice(name))[...]


class _Slice:
    """A tensor of a file, read when it is indexed."""

    def __init__(self, name: str, part: Any):
        self.name, self.part = name, part

    def get_shape(self) -> list[int]:
        return self.part.get_shape()

    def get_dtype(self) -> str:
        return self.part.get_dtype()

    def __getitem__(self, index: Any) -> Tensor:
        if self.get_dtype() == "BF16":
            raise TypeError(f"safetensors: {self.name} is bfloat16, which is not read. Convert the file to float32.")
        return tensor(np.asarray(self.part[index]))


class open_file:  # noqa: N801  (`safetensors.safe_open`, which gives torch's own tensors)
    """A file of tensors, of which single ones are read."""

    def __init__(self, filename: Any, framework: str = "pt", device: Any = "cpu", **_: Any):
        self.file = safe_open(str(filename), "np")

    def __enter__(self) -> open_file:
        return self

    def __exit__(self, *_: Any) -> None:
        self.file.__exit__(None, None, None)

    def keys(self) -> list[str]:
        return list(self.file.keys())

    def metadata(self) -> dict[str, str] | None:
        return self.file.metadata()

    def get_slice(self, name: str) -> _Slice:
        return _Slice(name, self.file.get_slice(name))

    def get_tensor(self, name: str) -> Tensor:
        return self.get_slice(name)[...]


def save_model(
    model: Any, filename: str, metadata: dict[str, str] | None = None, force_contiguous: bool = True
) -> None:
    """Write a module's state; of tensors under several names, the first name."""
    seen, kept = set(), {}
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            kept[name] = value
    save_file(kept, filename, metadata)


def load_model(model: Any, filename: Any, strict: bool = True, device: Any = "cpu") -> tuple[Any, Any]:
    """Read a module's state; missing are names whose tensor no other name brings."""
    state, own = load_file(filename), model.state_dict(keep_vars=True)
    brought = {id(value) for name, value in own.items() if name in state}
    missing = [name for name, value in own.items() if id(value) not in brought]
    unexpected = [name for name in state if name not in own]
    if strict and (missing or unexpected):
        raise RuntimeError(f"Error(s) in loading {filename}: missing keys {missing}, unexpected keys {unexpected}")
    model.load_state_dict(state, strict=False)
    return missing, unexpected


def storage_ptr(tensor: Tensor) -> int:
    """The same number for tensors that share memory."""
    return Storage(tensor).data_ptr()


def storage_size(tensor: Tensor) -> int:
    """Bytes of a tensor's memory."""
    return Storage(tensor).nbytes()
