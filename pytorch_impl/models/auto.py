"""Any other `transformers` model, adapted by target patterns: its modules are read off the network itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from common.config.schema import ModelConfig
from common.errors import InputError
from common.models.checkpoint import fingerprint
from common.models.specs import ModelSpec, ModuleSpec
from common.random import normal
from pytorch_impl import functional as F
from pytorch_impl.dropout import DROPOUT_ENTRY
from pytorch_impl.modules import Conv1D, Embedding, Linear

__all__ = ["build", "describe", "hidden_states", "logits", "loss_sum"]

_TASKS = {"sequence-classification": AutoModelForSequenceClassification, "language-modeling": AutoModelForCausalLM}


def build(config: Mapping[str, Any], task: str) -> nn.Module:
    """The network with untouched starting values, to be filled by the caller."""
    entries = {key: value for key, value in config.items() if key not in ("model_type", "num_labels")}
    return _TASKS[task].from_config(AutoConfig.for_model(config["model_type"], **entries), dtype=torch.float32)


def logits(model: nn.Module, batch: Mapping[str, torch.Tensor], positions: torch.Tensor | None = None) -> torch.Tensor:
    """The network's own logits: ``(batch, labels)``, ``(batch, seq, vocabulary)``, or ``(batch, vocabulary)`` at ``positions``."""
    result = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return result if positions is None else result[torch.arange(result.shape[0], device=result.device), positions]


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """Whatever the network calls its hidden states, each ``(batch, seq, hidden)``."""
    return list(
        model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], output_hidden_states=True
        ).hidden_states
    )


def loss_sum(
    model: nn.Module, batch: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the cross-entropy over the scored labels, and the class logits ``(batch, labels)``; of a language model the sum alone."""
    found = logits(model, batch)
    total = F.cross_entropy_sum(found, batch["labels"])
    return (total, found) if found.dim() == 2 else (total,)


def describe(
    config: ModelConfig,
    folder: Path | None,
    given: Mapping[str, Any],
    labels: tuple[str, ...] | None,
    pad_token_id: int | None,
    seed: int,
) -> ModelSpec:
    """Build the network once through `transformers` and read its modules and arrays; a new head is drawn from (seed, name).

    Raises:
        InputError: `transformers` has no such network for the task, or the checkpoint leaves part of the base model at random.
    """
    if folder is None:
        raise InputError(
            f"A {config.config.get('model_type')} model needs model.source; only BERT and GPT-2 are built from scratch."
        )
    entries = (
        _dropout_entries(folder, config.dropout)
        | config.config
        | ({"pad_token_id": pad_token_id} if pad_token_id is not None else {})
    )
    if labels is not None:
        entries |= {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    try:
        network, report = _TASKS[config.task].from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, **entries
        )
    except ValueError as error:
        raise InputError(
            f"transformers has no {config.task} network for {given.get('model_type')}: {str(error).splitlines()[0]}"
        ) from error
    owners: dict[int, str] = {}  # weight identity to the first module that holds it: a later holder is tied to it
    modules = tuple(
        _module(path, module, owners)
        for path, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    )
    missing = set(report["missing_keys"])
    prefix = network.base_model_prefix + "."
    head = tuple(
        module.path
        for module in modules
        if config.task == "sequence-classification" and not module.path.startswith(prefix)
    )
    lost = sorted(name for name in missing if name.startswith(prefix))
    if lost:
        raise InputError(
            f"The checkpoint in {folder} leaves {len(lost)} base parameters at random: {', '.join(lost[:8])}. It belongs to another architecture."
        )
    arrays = {name: parameter.detach().numpy().copy() for name, parameter in network.named_parameters()}
    base = {name: array for name, array in arrays.items() if name not in missing}
    for name in missing & set(arrays):
        arrays[name] = (
            np.zeros_like(arrays[name]) if name.endswith("bias") else normal(seed, name, arrays[name].shape, 0.02)
        )
    complete = network.config.to_dict()
    return ModelSpec(
        given["model_type"],
        config.task,
        complete,
        modules,
        head,
        arrays,
        fingerprint(base),
        config.source,
        tuple(sorted(missing)),
    )


def _dropout_entries(folder: Path, probability: float | None) -> dict[str, Any]:
    """The configuration's dropout entries, whatever the family calls them, set to ``probability``; none when it is None."""
    if probability is None:
        return {}
    return {key: probability for key in AutoConfig.from_pretrained(folder).to_dict() if DROPOUT_ENTRY.search(key)}


def _module(path: str, module: nn.Module, owners: dict[int, str]) -> ModuleSpec:
    weight = getattr(module, "weight", None)
    bias = getattr(module, "bias", None) is not None
    owner = owners.setdefault(id(weight), path) if weight is not None else path
    tied = owner if owner != path else None
    if isinstance(module, Linear):
        return ModuleSpec(path, "linear", module.in_features, module.out_features, bias, tied_to=tied)
    if isinstance(module, Conv1D):
        return ModuleSpec(path, "conv1d", weight.shape[0], weight.shape[1], bias, tied_to=tied)
    if isinstance(module, Embedding):
        return ModuleSpec(path, "embedding", module.num_embeddings, module.embedding_dim, False, tied_to=tied)
    own = tuple((name, tuple(parameter.shape)) for name, parameter in module.named_parameters(recurse=False))
    return ModuleSpec(path, "other", 0, 0, False, parameters=own)
