"""The processes of a job, on `torch.distributed`: NCCL between GPUs, Gloo between CPUs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist

from common.launch.topology import Topology
from pytorch_impl.device import preferred

__all__ = ["Group", "join", "local_device"]


def local_device(topology: Topology) -> str | None:
    """The device of a process that shares its node with others; None leaves the choice to `device.select`."""
    kind = preferred()
    return None if kind == "cpu" else f"{kind}:{topology.local_rank}"


def join(topology: Topology, device: str) -> Group:
    """Meet the other processes of the job; returns when all are there."""
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    address = f"tcp://{topology.master_address}:{topology.master_port}"
    store = "env://" if topology.mode == "torchrun" else address
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", init_method=store, rank=topology.rank, world_size=topology.world_size)
    return Group(device)


class Group:
    """Implements `common.distributed.Group`."""

    def __init__(self, device: str):
        self.rank, self.size, self._device = dist.get_rank(), dist.get_world_size(), device

    def sum(self, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Each tensor summed over the processes, as one message."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def sum_array(self, array: np.ndarray) -> np.ndarray:
        """A float32 array, summed over the processes."""
        tensor = torch.from_numpy(np.array(array, np.float32)).to(self._device)
        dist.all_reduce(tensor)
        return tensor.cpu().numpy()
