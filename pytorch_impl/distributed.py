"""The processes of a job, on `torch.distributed`: NCCL between GPUs, HCCL between Ascend NPUs, Gloo between CPUs."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import MethodType

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from common.launch.topology import Topology
from pytorch_impl.device import accelerator, preferred

__all__ = ["Group", "join", "local_device"]

_BACKENDS = {"cpu": "gloo", "cuda": "nccl", "npu": "hccl"}


def local_device(topology: Topology) -> str | None:
    """The device of a process that shares its node with others; None leaves the choice to `device.select`."""
    kind = preferred()
    return None if kind == "cpu" else f"{kind}:{topology.local_rank}"


def join(topology: Topology, device: str) -> Group:
    """Meet the other processes of the job; returns when all are there."""
    kind = device.partition(":")[0]
    if kind != "cpu":
        accelerator(device).set_device(device)
    address = f"tcp://{topology.master_address}:{topology.master_port}"
    store = "env://" if topology.mode == "torchrun" else address
    dist.init_process_group(
        _BACKENDS[kind],
        init_method=store,
        rank=topology.rank,
        world_size=topology.world_size,
    )
    atexit.register(_leave)
    return Group(device)


def _leave() -> None:
    """Join Gloo's threads; one that still runs when the process ends would end it with SIGABRT, after all was done."""
    if dist.is_initialized():
        dist.destroy_process_group()


class Group:
    """Implements `common.distributed.Group`."""

    def __init__(self, device: str):
        self.rank, self.size, self.device = dist.get_rank(), dist.get_world_size(), device

    def sum(self, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Each tensor summed over the processes, as one message."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def sum_array(self, array: np.ndarray) -> np.ndarray:
        """A float32 array, summed over the processes."""
        tensor = torch.from_numpy(np.array(array, np.float32)).to(self.device)
        dist.all_reduce(tensor)
        return tensor.cpu().numpy()

    def shard(self, model: nn.Module, trained: Iterable[nn.Parameter], *functions: Callable) -> tuple[Callable, ...]:
        """Divide the frozen parameters among the processes, each in rows; what is trained stays whole in all of them,
        and its gradients are summed as ever.

        Every transformer layer is gathered while it is computed, forward and backward, and what lies outside of the
        layers during the whole pass (`torch.distributed.fsdp.fully_shard`). The ``model`` may be on the CPU: what this
        process holds of it is moved to its device.
        """
        from torch.distributed.fsdp import (
            fully_shard,
            register_fsdp_forward_method,
        )  # half a second to import, and few runs need it

        whole = set(trained)
        for parameter in whole:
            parameter.data = parameter.data.to(self.device)
        mesh = init_device_mesh(self.device.partition(":")[0], (self.size,))
        for module in (*_layers(model), model):
            fully_shard(module, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
        model.compute = MethodType(
            _compute, model
        )  # the functions call parts of the model, past the hooks of its own forward
        register_fsdp_forward_method(model, "compute")
        return tuple(partial(_in_model, function) for function in functions)


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    """The layers that are gathered one by one. What is computed in parts is gathered with the rest."""
    lists = {path: module for path, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    for path, layers in lists.items():
        if not any(path.startswith(f"{outer}.") for outer in lists):
            yield from layers[: len(layers) - model.layers_in_parts]


def _compute(model: nn.Module, function: Callable, *given: object) -> object:
    return function(model, *given)


def _in_model(function: Callable, model: nn.Module, *given: object) -> object:
    return model.compute(function, *given)
