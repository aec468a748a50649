"""Mirrors pytorch_impl.measuring; differs: products are compiled, and what a graph keeps for its backward pass cannot
be seen."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from common.bench.rounds import fastest

__all__ = ["device_memory", "operator_seconds", "product_seconds", "saved_bytes"]


def product_seconds(sizes: tuple[int, int, int, int], repeats: int, dtype: str, device: str) -> float:
    """See the counterpart."""
    batch, rows, inner, columns = sizes
    kind = ms.bfloat16 if dtype == "bf16" else ms.float32
    random = np.random.default_rng(0)
    left, right = (
        Tensor(random.standard_normal((batch, *shape), np.float32)).astype(kind)
        for shape in ((rows, inner), (inner, columns))
    )
    multiply, left, right = (ops.MatMul(), left[0], right[0]) if batch == 1 else (ops.BatchMatMul(), left, right)

    def product(left, right):
        return multiply(left, right)

    compiled = ms.jit(product)  # as in a step; a single call is slower
    return fastest(lambda: compiled(left, right), repeats, ms.runtime.synchronize)


def device_memory(device: str, reset: bool = False) -> tuple[int, int] | None:
    """See the counterpart."""
    if device == "cpu":
        return None
    if reset:
        ms.runtime.reset_max_memory_allocated()
    return ms.runtime.memory_allocated(), ms.runtime.max_memory_allocated()


def operator_seconds(run: Callable[[], Any]) -> dict[str, float]:
    """See the counterpart. What MindSpore's profiler writes on the way goes to a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        kept = ms.profiler.tensorboard_trace_handler(folder)
        profiler = ms.profiler.profile(
            activities=[ms.profiler.ProfilerActivity.CPU], on_trace_ready=kept, start_profile=False
        )
        profiler.start()
        run()
        profiler.stop()
        [found] = Path(folder).glob("*/FRAMEWORK/cpu_op_type_info_0.csv")
        with found.open(encoding="utf-8", newline="") as file:
            return {row["op_type"]: float(row["total_compute_time"]) / 1e3 for row in csv.DictReader(file)}


def saved_bytes(step: Callable[[], Any], model: Any) -> int | None:
    """None: the graph holds both passes."""
    return None
