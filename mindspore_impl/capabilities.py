"""Mirrors pytorch_impl.capabilities; differs: what MindSpore's CPU kernels and this backend lack."""

from __future__ import annotations

import importlib

from common.backend.capabilities import Capabilities
from common.members import file_name
from common.models.specs import ModelSpec

__all__ = ["capabilities", "model_problems"]


def capabilities(device: str) -> Capabilities:
    """What is missing; of other devices than the CPU, none of which was tried, what MindSpore documents."""
    missing = {
        "dtype:bf16": "MindSpore's CPU kernels lack it. Use training.dtype fp32",
        "dtype:fp64": "references are computed in PyTorch",
        "recompute": "MindSpore's CPU executor keeps nearly as much with it. Set training.recompute to false",
        "shard": "only the PyTorch backend divides weights among processes. Set training.shard to false",
    }
    if device.startswith("ascend"):
        missing["cell:lstm"] = (
            "MindSpore's ops.LSTM has kernels for CPU and GPU alone. Use --device cpu, or cells of another kind where "
            "the family has some"
        )
    return Capabilities("mindspore", missing)


def model_problems(spec: ModelSpec) -> list[str]:
    """What of this model the native cells do not have."""
    module = importlib.import_module(f"mindspore_impl.models.{file_name(spec.family)}")
    unsupported = getattr(module, "unsupported", None)  # a converted network has all that torch's has
    reason = None if unsupported is None else unsupported(spec.config)
    return [reason] if reason else []
