"""The PyTorch backend: what computes. Everything that decides is in `common`; the counterpart of every module here is
in `mindspore_impl`."""

from pytorch_impl import adapting, device, distributed
from pytorch_impl.capabilities import capabilities, model_problems
from pytorch_impl.engine import Engine
from pytorch_impl.network import build_model
from pytorch_impl.rewrite import choose, merge, restore, rewrite, set_enabled, unmerge

__all__ = [
    "Engine",
    "adapting",
    "build_model",
    "capabilities",
    "choose",
    "device",
    "distributed",
    "merge",
    "model_problems",
    "restore",
    "rewrite",
    "set_enabled",
    "unmerge",
]
