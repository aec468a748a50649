"""``torch.utils.data`` with MindSpore's tensors; samplers and loader are plain Python, and draw in torch's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor

from common.porting import loading
from common.porting.loading import *  # noqa: F403
from common.porting.loading import Dataset
from mindspore_impl import functional

__all__ = [*loading.__all__, "TensorDataset", "default_collate"]


class TensorDataset(Dataset):
    """Rows of tensors.

    Raises:
        ValueError: they have not the same number of rows.
    """

    def __init__(self, *tensors: Tensor):
        if len({tensor.shape[0] for tensor in tensors}) != 1:
            raise ValueError(f"tensors must have the same number of rows; received {[x.shape[0] for x in tensors]}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


def default_collate(batch: list[Any]) -> Any:
    """Examples as one batch: tensors and arrays are stacked, numbers become tensors, containers stay.

    Raises:
        TypeError: an example is none of these.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return functional.stack(batch, 0)
    if isinstance(first, np.ndarray | np.generic):
        return Tensor(np.stack(batch))
    if isinstance(first, bool | int):
        return Tensor(batch, ms.bool_ if isinstance(first, bool) else ms.int64)
    if isinstance(first, float):
        return Tensor(np.array(batch))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {name: default_collate([example[name] for example in batch]) for name in first}
    if isinstance(first, Sequence):
        return [default_collate(list(part)) for part in zip(*batch, strict=True)]
    raise TypeError(f"a batch must hold tensors, numpy arrays, numbers, dicts or lists; received {type(first)}")


def _convert(example: Any) -> Any:
    return Tensor(np.asarray(example)) if isinstance(example, np.ndarray | np.generic) else example


class DataLoader(loading.DataLoader):
    """Batches of a data set, as tensors."""

    collate = staticmethod(default_collate)
    convert = staticmethod(_convert)
