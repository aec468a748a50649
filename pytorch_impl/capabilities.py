"""What this backend computes on a device; see `common.backend.capabilities`."""

from __future__ import annotations

from inspect import signature

import torch

from common.backend.capabilities import Capabilities
from common.models.specs import ModelSpec
from pytorch_impl import device as devices

__all__ = ["capabilities", "model_problems"]


def capabilities(device: str) -> Capabilities:
    """Everything but what the device or the version of torch lacks."""
    missing = {
        "sharded integers": "dividing weights of few bits among processes was never run. Set training.shard to false",
        "compiled adversarial training": "torch.compile does not see the perturbation. Set training.compile to null",
    }
    if not devices.supports(device, "bf16"):
        missing["dtype:bf16"] = f"{device} does not compute in bfloat16. Use training.dtype fp32"
    if not devices.supports(device, "fp64"):
        missing["dtype:fp64"] = f"{device} lacks kernels for float64. Use --device cpu"
    if device.startswith("npu"):
        missing["shard"] = "dividing weights among NPUs was never run. Set training.shard to false"
    elif not _shards():
        missing["shard"] = f"torch {torch.__version__} is older than fully_shard's ignored_params. Upgrade it"
    return Capabilities("pytorch", missing, other_families=True)


def model_problems(spec: ModelSpec) -> list[str]:
    """What of this model the backend does not have: activations that `transformers` lacks; it has all other
    variants."""
    from transformers.activations import ACT2FN

    named = ((entry, spec.config.get(entry)) for entry in ("hidden_act", "activation_function"))
    unknown = [(entry, name) for entry, name in named if isinstance(name, str) and name not in ACT2FN]
    return [f"transformers has no activation {name!r}, which {entry} names" for entry, name in unknown]


def _shards() -> bool:
    try:
        from torch.distributed.fsdp import fully_shard
    except ImportError:
        return False
    return "ignored_params" in signature(fully_shard).parameters
