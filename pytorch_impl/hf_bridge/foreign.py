"""Any other `transformers` model, adapted by target patterns: its modules are read off the network itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from common.backend.batch import BatchSchema
from common.config.schema import ModelConfig
from common.errors import InputError
from common.models import FAMILIES
from common.models.checkpoint import fingerprint, read_checkpoint
from common.models.family import ATTENTION_MASK, INPUT_IDS
from common.models.heads import Rows, match_rows, origin_of, take_rows
from common.models.modules import CONVOLUTION, EMBEDDING, LINEAR, OTHER, TRANSPOSED_LINEAR, ModuleSpec, Window
from common.models.specs import ModelSpec
from common.random import normal
from common.tasks import TASKS, configured
from pytorch_impl.hf_bridge.surgery import DROPOUT_ENTRY
from pytorch_impl.layers.modules import Conv1D, Embedding, Linear

__all__ = ["build", "describe", "modules_of"]

Inputs = Mapping[str, torch.Tensor]
_OF_LAYER = re.compile(
    r"\.\d+\."
)  #: names of parameters in one of several layers; a pooler may be left out, a layer never
_PRETRAINED = ("causal", "masked")  #: heads that a checkpoint of the base model brings

_NETWORKS = {
    "sequence": AutoModelForSequenceClassification,
    "token": AutoModelForTokenClassification,
    "causal": AutoModelForCausalLM,
    "masked": AutoModelForMaskedLM,
}  #: by the head that a task uses


def _network(task: str, model_type: str | None) -> type:
    head = TASKS.get(task).head
    if head not in _NETWORKS:
        raise InputError(f"transformers' {model_type} networks have no head for {task}. Choose another model.task.")
    return _NETWORKS[head]


class _Foreign:
    """What a network of `transformers` lacks to serve as a `pytorch_impl.network.Network`."""

    plain: Collection[str] = ()
    layers_in_parts = 0

    @property
    def backbone(self) -> nn.Module:
        """The network itself."""
        return self

    def logits(self, inputs: Inputs, positions: torch.Tensor | None = None) -> torch.Tensor:
        """The network's own: ``(batch, labels)``, ``(batch, seq, outputs)``, or ``(batch, outputs)`` at
        ``positions``."""
        result = self(**_given(inputs)).logits
        return result if positions is None else result[torch.arange(result.shape[0], device=result.device), positions]

    def cached_states(self, kept: dict[Any, Any] | None) -> None:
        """Whole sequences are computed for every token."""

    def output_weight(self) -> None:
        """Its head is not known to be one matrix product."""

    def last_product(self) -> None:
        """Which layer is its output is not known."""

    def hidden_states(self, inputs: Inputs) -> list[torch.Tensor]:
        """Whatever the network calls its hidden states, each ``(batch, seq, hidden)``."""
        return list(self(**_given(inputs), output_hidden_states=True).hidden_states)


def build(spec: ModelSpec) -> nn.Module:
    """A whole network of `transformers`, with its own head and untouched start values, to be filled by the caller."""
    entries = {key: value for key, value in spec.config.items() if key not in ("model_type", "num_labels")}
    config = AutoConfig.for_model(spec.config["model_type"], **entries)
    network = _network(spec.task, spec.family).from_config(config, dtype=torch.float32)
    network.__class__ = type(type(network).__name__, (_Foreign, type(network)), {})
    network.family, network.task, network.shared = spec.family, spec.task, spec.shared
    return network


def _given(inputs: Inputs) -> dict[str, torch.Tensor]:
    return {name: inputs[name] for name in ("input_ids", "attention_mask")}


def describe(
    config: ModelConfig,
    folder: Path | None,
    given: Mapping[str, Any],
    labels: tuple[str, ...] | None,
    pad_token_id: int | None,
    seed: int,
) -> ModelSpec:
    """Build the network once through `transformers` and read its modules and arrays; a new head depends on (seed,
    name).

    Raises:
        InputError: `transformers` has no such network for the task, or the checkpoint leaves part of the base model at
            random.
    """
    if folder is None:
        raise InputError(
            f"A {config.config.get('model_type')} model needs model.source; only {', '.join(FAMILIES.names())} are built from scratch."
        )
    if given.get("auto_map"):
        raise InputError(
            f"{folder} brings Python code of its own (auto_map in config.json), which is never run. Use a model whose network "
            "is part of transformers."
        )
    held = read_checkpoint(folder)  # refuses pickles, damage and other dtypes
    task = configured(config)
    entries = (
        _dropout_entries(folder, config.dropout)
        | config.config
        | ({"pad_token_id": pad_token_id} if pad_token_id is not None else {})
    )
    entries |= _task_entries(task.entries(labels))
    try:
        network, report = _network(config.task, given.get("model_type")).from_pretrained(
            folder,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
            use_safetensors=True,
            **entries,
        )
    except (InputError, MemoryError):
        raise
    except Exception as error:  # whatever a configuration leads it into: it checks few of its entries
        raise InputError(
            f"transformers cannot build a {config.task} network from the {given.get('model_type')} model in {folder}: "
            f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}. Check its config.json and model.task."
        ) from error
    modules = modules_of(network)
    mismatched = {name for name, *_ in report["mismatched_keys"]}
    missing = set(report["missing_keys"]) | mismatched
    prefix = network.base_model_prefix + "."
    head = tuple(
        module.path for module in modules if task.head not in _PRETRAINED and not module.path.startswith(prefix)
    )
    lost = sorted(name for name in missing if name.startswith(prefix))
    if lost:
        raise InputError(
            f"The checkpoint in {folder} leaves {len(lost)} base parameters at random: {', '.join(lost[:8])}. It belongs to another architecture."
        )
    beyond = sorted(name for name in report["unexpected_keys"] if name.startswith(prefix) and _OF_LAYER.search(name))
    if beyond:
        raise InputError(
            f"The network that config.json in {folder} describes lacks {len(beyond)} parameters of layers in the checkpoint: "
            f"{', '.join(beyond[:8])}. Check that config.json and the weights belong together."
        )
    if mismatched and not head:
        raise InputError(
            f"Parameters of the checkpoint in {folder} have other shapes than its config.json says: "
            f"{', '.join(sorted(mismatched)[:8])}. Check that config.json and the weights belong together."
        )
    arrays = {name: parameter.detach().numpy().copy() for name, parameter in network.named_parameters()}
    output = _output(modules, head)
    own, rows = _outputs(held, output, given, labels)
    if rows is not None:
        missing |= set(own)
    base = {name: array for name, array in arrays.items() if name not in missing}
    for name in missing & set(arrays):
        arrays[name] = (
            np.zeros_like(arrays[name]) if name.endswith("bias") else normal(seed, name, arrays[name].shape, 0.02)
        )
    if rows is not None:
        taken = {name: take_rows(array, rows, arrays[name]) for name, array in own.items()}
        arrays |= taken
        if None not in rows.rows:
            base |= taken
            missing -= set(taken)
    complete = network.config.to_dict()
    return ModelSpec(
        family=given["model_type"],
        task=task.name,
        config=complete,
        modules=modules,
        head=head,
        arrays=arrays,
        schema=BatchSchema.of((INPUT_IDS, ATTENTION_MASK), task.FIELDS),
        fingerprint=fingerprint(base),
        source=config.source,
        new_parameters=tuple(sorted(missing)),
        head_origin=origin_of(rows, head, output.path if output else "", missing),
    )


def _output(modules: Collection[ModuleSpec], head: Collection[str]) -> ModuleSpec | None:
    """The last linear module of a new head, which gives one number a class."""
    linear = [module for module in modules if module.path in head and module.kind is LINEAR]
    return linear[-1] if linear else None


def _outputs(
    held: Mapping[str, np.ndarray], output: ModuleSpec | None, given: Mapping[str, Any], labels: tuple[str, ...] | None
) -> tuple[dict[str, np.ndarray], Rows | None]:
    """The checkpoint's arrays of ``output``, and which row is which class; None where it has none that fit."""
    if output is None:
        return {}, None
    shapes = output.shapes()
    own = {name: held[name] for name in shapes if name in held}
    fits = own.keys() == shapes.keys() and all(own[name].shape[1:] == shape[1:] for name, shape in shapes.items())
    if not fits:
        return {}, None
    return own, match_rows(given, labels, len(own[f"{output.path}.weight"]), output.out_features)


def _task_entries(entries: Mapping[str, Any]) -> dict[str, Any]:
    """As `transformers` takes them: label names by number."""
    found = {"problem_type": None} | {key: value for key, value in entries.items() if key != "num_labels"}
    if "id2label" in found:
        found["id2label"] = {int(number): name for number, name in found["id2label"].items()}
    return found


def _dropout_entries(folder: Path, probability: float | None) -> dict[str, Any]:
    """The configuration's dropout entries, whatever the family calls them, set to ``probability``; none when it is
    None."""
    if probability is None:
        return {}
    known = AutoConfig.from_pretrained(folder, trust_remote_code=False).to_dict()
    return {key: probability for key in known if DROPOUT_ENTRY.search(key)}


def modules_of(network: nn.Module) -> tuple[ModuleSpec, ...]:
    """Every module that owns parameters, read off a built network. Of tied weights the first holder is the owner."""
    owners: dict[int, str] = {}
    return tuple(
        _module(path, module, owners)
        for path, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    )


def _module(path: str, module: nn.Module, owners: dict[int, str]) -> ModuleSpec:
    weight = getattr(module, "weight", None)
    bias = getattr(module, "bias", None) is not None
    owner = owners.setdefault(id(weight), path) if weight is not None else path
    tied = owner if owner != path else None
    if isinstance(module, Linear):
        return ModuleSpec(path, LINEAR, module.in_features, module.out_features, bias, tied_to=tied)
    if isinstance(module, Conv1D):
        return ModuleSpec(path, TRANSPOSED_LINEAR, weight.shape[0], weight.shape[1], bias, tied_to=tied)
    if isinstance(module, Embedding):
        return ModuleSpec(path, EMBEDDING, module.num_embeddings, module.embedding_dim, False, tied_to=tied)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        window = Window(tuple(module.kernel_size), module.groups)
        return ModuleSpec(
            path, CONVOLUTION, module.in_channels, module.out_channels, bias, tied_to=tied, arguments=window
        )
    own = tuple((name, tuple(parameter.shape)) for name, parameter in module.named_parameters(recurse=False))
    return ModuleSpec(path, OTHER, 0, 0, False, parameters=own)
