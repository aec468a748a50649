"""Mirrors pytorch_impl.distributed; differs: `mindspore.communication`, which reads the cluster from msrun's variables:
HCCL between Ascend cards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, communication, ops

from common.launch.topology import Topology
from mindspore_impl.device import preferred

__all__ = ["Group", "join", "local_device"]


def local_device(topology: Topology) -> str | None:
    """The device of a process that shares its node with others."""
    kind = preferred()
    return None if kind == "cpu" else f"{kind}:{topology.local_rank}"


def join(topology: Topology, device: str) -> Group:
    """Meet the other processes of the job. In the process that coordinates them, `scheduler`, it returns when they are
    done."""
    communication.init()
    return Group(device)


class Group:
    """Implements `common.distributed.Group`."""

    def __init__(self, device: str):
        self.rank, self.size, self.device = communication.get_rank(), communication.get_group_size(), device
        self._sum = ops.AllReduce()

    def sum(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Each tensor summed over the processes, as one message."""
        flat = self._sum(ops.concat([ops.reshape(tensor, (-1,)) for tensor in tensors]))
        parts, start = [], 0
        for tensor in tensors:
            parts.append(ops.reshape(flat[start : start + tensor.size], tensor.shape))
            start += tensor.size
        return parts

    def sum_array(self, array: np.ndarray) -> np.ndarray:
        """A float32 array, summed over the processes."""
        return self._sum(Tensor(np.array(array, np.float32))).asnumpy()
