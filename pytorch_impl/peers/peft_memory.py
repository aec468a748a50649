"""The account of `common.memory` for the network of transformers under PEFT's LoRA, as they come: eager attention, and
the masks of dropouts kept as booleans, as torch keeps them on CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from peft_reference import adapted

from common.config import ExperimentConfig
from common.memory.account import Held
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.tasks.example import example_batch
from pytorch_impl.accounting import saved, without_storage
from pytorch_impl.hf_bridge.foreign import build

__all__ = ["held"]

_OF_PEFT = ("base_model.model.", ".modules_to_save.default", ".default")


def held(spec: ModelSpec, plan: Plan, config: ExperimentConfig, rows: int, length: int) -> Held:
    """Weights and saved tensors of one step with ``rows`` sequences of ``length`` tokens."""
    with torch.device("meta"):
        model = build(spec)
        model.set_attn_implementation("eager")
        if plan.edits:
            model = adapted(model, config)
    batch = example_batch(spec, [length] * rows, "memory")
    with without_storage(model) as mode, _boolean_masks(), saved(model.train(), spec.layout.output) as kept:
        inputs = {name: mode.from_tensor(torch.from_numpy(array).long()) for name, array in batch.items()}
        model(**inputs).loss.detach()
    sizes = {name: p.numel() * p.element_size() for name, p in model.named_parameters()}
    trained = frozenset(_plain(name) for name, p in model.named_parameters() if p.requires_grad)
    weights: dict[str, int] = {}
    for name, size in sizes.items():
        weights[_plain(name)] = weights.get(_plain(name), 0) + size
    return Held(weights, trained, {_plain(path): size for path, size in kept.items()})


def _plain(name: str) -> str:
    for part in _OF_PEFT:
        name = name.replace(part, "")
    return name.replace(".base_layer.", ".") if name.endswith(("weight", "bias")) else name


@contextmanager
def _boolean_masks() -> Iterator[None]:
    """torch's CPU keeps a mask as numbers of the input's type; its CUDA kernel, which the network was written for, as
    booleans."""

    def dropout(input, p=0.5, training=True, inplace=False):
        return torch.native_dropout(input, p, training)[0] if training and p > 0 else input

    with patch.object(torch.nn.functional, "dropout", dropout):
        yield
