"""``torch.utils.data``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.porting import loading
from common.porting.loading import *  # noqa: F403
from common.porting.loading import Dataset
from mindspore_impl.torch_api.factories import as_tensor, tensor
from mindspore_impl.torch_api.lifting import missing
from mindspore_impl.torch_api.random import default_generator
from mindspore_impl.torch_api.tensor import Tensor

__all__ = [*loading.__all__, "TensorDataset", "default_collate", "default_convert", "get_worker_info"]

loading.DEFAULT[0] = default_generator


class TensorDataset(Dataset):
    """Rows of tensors."""

    def __init__(self, *tensors: Tensor):
        if any(tensors[0].size(0) != other.size(0) for other in tensors):
            raise AssertionError("Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(part[index] for part in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].size(0)


def default_collate(batch: list[Any]) -> Any:
    """Examples as one batch: tensors and arrays are stacked, numbers become tensors, containers stay."""
    from mindspore_impl.torch_api import NAMED, stack

    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch, 0)
    if isinstance(first, np.ndarray):
        return as_tensor(np.stack(batch))
    if isinstance(first, np.generic):
        return as_tensor(np.array(batch))
    if isinstance(first, (bool, int)):
        return tensor(batch)
    if isinstance(first, float):
        return tensor(batch, dtype=NAMED["float64"])
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return type(first)({name: default_collate([example[name] for example in batch]) for name in first})
    if isinstance(first, Sequence):
        if any(len(example) != len(first) for example in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        parts = [default_collate(list(part)) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {type(first)}"
    )


def default_convert(example: Any) -> Any:
    """Arrays as tensors, in containers too."""
    if isinstance(example, (np.ndarray, np.generic)):
        return as_tensor(np.asarray(example))
    if isinstance(example, Mapping):
        return type(example)({name: default_convert(value) for name, value in example.items()})
    if isinstance(example, tuple) and hasattr(example, "_fields"):
        return type(example)(*map(default_convert, example))
    if isinstance(example, (list, tuple)):
        return (
            type(example)(map(default_convert, example))
            if isinstance(example, list)
            else [default_convert(value) for value in example]
        )
    return example


class DataLoader(loading.DataLoader):
    """Batches of a data set, as tensors."""

    collate = staticmethod(default_collate)
    convert = staticmethod(default_convert)


def get_worker_info() -> None:
    """None: examples are read in the main process."""


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.utils.data.{name}")
