"""The PyTorch half: what computes. Everything that decides is in `common`; the twin of every module here is in `mindspore_impl`."""

from pytorch_impl import device, distributed
from pytorch_impl.engine import Engine
from pytorch_impl.exchange import peft_logits
from pytorch_impl.models import build_model, describe
from pytorch_impl.rewrite import merge, rewrite, set_enabled, unmerge

__all__ = [
    "Engine",
    "build_model",
    "describe",
    "device",
    "distributed",
    "merge",
    "peft_logits",
    "rewrite",
    "set_enabled",
    "unmerge",
]
