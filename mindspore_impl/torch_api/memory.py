"""What can be asked about the memory of a tensor: whether two tensors share it, and its size."""

from __future__ import annotations

from mindspore_impl.torch_api.dtypes import device, here
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["Storage", "owner", "untyped_storage"]


def owner(tensor: Tensor) -> Tensor:
    """The tensor of which this one is a view, or itself."""
    while True:
        base = getattr(tensor._source, "base", None)
        base = base if base is None or isinstance(base, Tensor) else base()
        if base is None:
            return tensor
        tensor = base


class Storage:
    """The memory of a tensor. Its bytes are not read here."""

    def __init__(self, tensor: Tensor):
        self.owner = owner(tensor)

    def data_ptr(self) -> int:
        """The same number for tensors that share the memory."""
        return int(self.owner.raw.data_ptr())

    def nbytes(self) -> int:
        """Number of bytes."""
        return int(self.owner.nbytes)

    size = nbytes

    def __len__(self) -> int:
        return self.nbytes()

    @property
    def device(self) -> device:
        return here()


def untyped_storage(self: Tensor) -> Storage:
    """The memory of the tensor."""
    return Storage(self)


Tensor.untyped_storage = untyped_storage  # type: ignore[attr-defined]
