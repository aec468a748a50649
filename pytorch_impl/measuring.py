"""What a benchmark asks of the framework: the time of matrix products alone, memory of the device, and what autograd
keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch

from common.bench.rounds import fastest
from pytorch_impl.device import accelerator
from pytorch_impl.layers.modules import product

__all__ = ["device_memory", "operator_seconds", "product_seconds", "saved_bytes"]


def product_seconds(sizes: tuple[int, int, int, int], repeats: int, dtype: str, device: str) -> float:
    """Seconds of one product ``(batch, rows, inner) (batch, inner, columns)`` of random numbers, the best of
    ``repeats`` after one that is not counted.

    Args:
        sizes: batch, rows, inner, columns; a batch of 1 is a product of matrices.
        dtype: fp32 or bf16.
    """
    batch, rows, inner, columns = sizes
    kind = torch.bfloat16 if dtype == "bf16" else torch.float32
    left, right = (
        torch.randn(batch, rows, inner, device=device).to(kind),
        torch.randn(batch, inner, columns, device=device).to(kind),
    )
    multiply, left, right = (product, left[0], right[0].T) if batch == 1 else (torch.bmm, left, right)
    return fastest(lambda: multiply(left, right), repeats, lambda: _wait(device))


def device_memory(device: str, reset: bool = False) -> tuple[int, int] | None:
    """Bytes allocated on the accelerator now, and at most since the last ``reset``; None on the CPU."""
    if device == "cpu":
        return None
    if reset:
        accelerator(device).reset_peak_memory_stats(device)
    return accelerator(device).memory_allocated(device), accelerator(device).max_memory_allocated(device)


def operator_seconds(run: Callable[[], Any]) -> dict[str, float]:
    """Seconds that each of the framework's operators took while ``run`` ran on the CPU, by the framework's own
    profiler."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        run()
    return {event.key: event.self_cpu_time_total / 1e6 for event in profiler.key_averages()}


def saved_bytes(step: Callable[[], Any], model: Any) -> int | None:
    """Bytes of the distinct storages that the forward pass of ``step`` saves for the backward pass, parameters and
    buffers of ``model`` apart.

    The step ends where its backward pass would begin.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    found: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()

    with (
        patch.object(torch.Tensor, "backward", _end),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        try:
            step()
        except _Forward:
            return sum(found.values())
    raise AssertionError("the step has no backward pass")


class _Forward(Exception):  # noqa: N818  (it reports no error)
    """The forward pass has ended."""


def _end(*_: Any, **__: Any) -> None:
    raise _Forward


def _wait(device: str) -> None:
    if device != "cpu":
        accelerator(device).synchronize()
