"""A network: the backbone of a family and the head of a task, with Hugging Face's parameter names."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from common.members import file_name
from common.models import FAMILIES
from common.models.companions import DISENTANGLED, SHARED, Companion
from common.models.family import EACH, FIRST, POOLED, STATES, WRITTEN, HeadLayout
from common.models.modules import ATTENTION, LAYER_NORM, LINEAR, ModuleSpec
from common.models.specs import ModelSpec
from common.strict import expected
from pytorch_impl.adversarial import normalized
from pytorch_impl.hf_bridge import foreign
from pytorch_impl.hf_bridge.packed import layer
from pytorch_impl.layers.crf import Chain
from pytorch_impl.layers.disentangled import Disentangled
from pytorch_impl.layers.dropout import Dropout
from pytorch_impl.layers.modules import LayerNorm, Linear
from pytorch_impl.rewrite import carry_out, write_parameters

__all__ = ["Network", "build_model", "family", "task"]

Inputs = Mapping[str, torch.Tensor]
_ACTIVATIONS = {
    "tanh": torch.tanh,
    "relu": nn.functional.relu,
    "gelu": nn.functional.gelu,
    "gelu_new": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
}


def family(name: str) -> ModuleType:
    """The module that builds and runs a family's backbone: ``backbone``, ``states``, ``hidden_states``, ..."""
    return importlib.import_module(f"pytorch_impl.models.{file_name(name)}")


def task(name: str) -> ModuleType:
    """The module with a task's ``loss``."""
    return importlib.import_module(f"pytorch_impl.tasks.{file_name(name)}")


class Network(nn.Module):
    """Backbone and head. Submodules have Hugging Face's paths, so that parameters have its names.

    Raises:
        InputError: the configuration asks for what the backbone does not have.
    """

    plain: Collection[str] = ()  #: fast paths that are switched off, see `common.backend.FAST_PATHS`
    prepended: tuple[Any, ...] = ()  #: the layer that puts virtual tokens before a sequence; given by `rewrite`

    def __init__(self, spec: ModelSpec):
        super().__init__()
        self.family, self.task, self.layout, self.shared = spec.family, spec.task, spec.layout, spec.shared
        self.attention_heads = tuple(module.arguments for module in spec.modules if module.kind is ATTENTION)
        self._family = family(spec.family)
        self._prefix = FAMILIES.get(spec.family).backbone(spec.config).prefix
        setattr(self, self._prefix, self._family.backbone(spec.config))
        self._perturbation: torch.Tensor | None = None  # of the embeddings, while a batch is computed that has one
        self.perturbed_width = spec.perturbed_width
        if self.perturbed_width:
            norm = FAMILIES.get(spec.family).EMBEDDING_NORM
            self.backbone.get_submodule(norm).register_forward_pre_hook(self._perturb)
        _add_head(self, spec)
        self._companion = None if spec.companion is None else spec.companion.name
        if spec.companion is not None:
            _add_companion(self, spec.companion)

    @property
    def backbone(self) -> nn.Module:
        """The network without its head, one of `transformers`' own."""
        return getattr(self, self._prefix)

    @property
    def companion(self) -> nn.Module | None:
        """The second network that is trained with this one."""
        return None if self._companion is None else getattr(self, self._companion)

    @property
    def layers_in_parts(self) -> int:
        """Number of its last layers that are computed in parts, not by their own forward."""
        whole = any(not layer.in_sequence for layer in self.prepended)
        return int(self.layout.position == FIRST and hasattr(self._family, "first_states") and not whole)

    def encode(self, inputs: Inputs, position: str) -> torch.Tensor:
        """Hidden states ``(batch, hidden)`` at the first or last real position or of the whole, or ``(batch, seq,
        hidden)`` at each; of a sequence that is written ``(batch, target, hidden)``.

        Virtual tokens of a prompt are positions before the others: the first of them is the first position, and none of
        them is among each.
        """
        self._perturbation = inputs.get("perturbation")
        try:
            return self._encoded(inputs, position)
        finally:
            self._perturbation = None

    def _encoded(self, inputs: Inputs, position: str) -> torch.Tensor:
        extended = self.extended(inputs)
        if position == FIRST and self.layers_in_parts and "last_layer" not in self.plain:
            return self._family.first_states(self.backbone, extended)
        states = getattr(self._family, self.layout.states)(self.backbone, extended)
        return self._in_context(_read(states, inputs, position), inputs, position)

    def _perturb(self, norm: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        """What the norm of the embeddings gets instead of what is given."""
        return None if self._perturbation is None else (normalized(given[0]) + self._perturbation,)

    def _in_context(self, states: torch.Tensor, inputs: Inputs, position: str) -> torch.Tensor:
        """``(batch, seq, hidden)`` with the first position's added to each, and normed, where the head reads these; or
        what a module of the head makes of all of them."""
        if position == STATES:
            return self.get_submodule(self.layout.reading.path)(states, inputs["attention_mask"])
        if self.layout.context is None:
            return states
        return self.get_submodule(self.layout.context)(states + states[:, :1])

    def extended(self, inputs: Inputs) -> Inputs:
        """``inputs`` with what stands before their sequences."""
        for given in self.prepended:
            inputs = given.extend(inputs) if given.active else inputs
        return inputs

    def with_ids(self, inputs: Inputs, input_ids: torch.Tensor) -> Inputs:
        """``inputs`` with other ids ``(batch, seq)``."""
        return {**inputs, "input_ids": input_ids}

    def virtual_ids(self) -> np.ndarray:
        """The ids ``(tokens,)`` int32 that stand before every sequence of words."""
        layers = [layer for layer in self.prepended if layer.active and layer.in_sequence]
        ids = [layer.edit.module.in_features + np.arange(layer.edit.arguments.tokens) for layer in layers]
        return np.concatenate([np.zeros(0), *ids]).astype(np.int32)

    def logits(self, inputs: Inputs, positions: torch.Tensor | None = None) -> torch.Tensor:
        """What the head gives: ``(batch, labels)``, or ``(batch, seq, outputs)`` (of a sequence that is written
        ``(batch, target, outputs)``), or ``(batch, outputs)`` at ``positions`` ``(batch,)``."""
        hidden = self.encode(inputs, self.layout.position)
        return self.head(hidden if positions is None else _at(hidden, positions))

    def logits_of(self, hidden: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        """What the head gives of the last of `hidden_states`."""
        position = self.layout.position
        return self.head(self._in_context(_read(hidden, inputs, position), inputs, position))

    def head(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., hidden)`` to ``(..., outputs)``; see `common.models.family.HeadLayout`."""
        x = self.get_submodule(self.layout.output)(self.features(x))
        return x + self.get_submodule(self.layout.added).bias if self.layout.added else x

    @property
    def chain(self) -> nn.Module | None:
        """The scores of a chain of the head's outputs, `pytorch_impl.layers.crf.Chain`; None where it has none."""
        return None if self.layout.chain is None else self.get_submodule(self.layout.chain)

    def second(self, x: torch.Tensor) -> torch.Tensor:
        """What the second head gives of ``(batch, hidden)`` at the first positions: ``(batch, outputs)``."""
        beside = self.layout.beside
        return self.get_submodule(beside.output)(_features(self, x, beside))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., hidden)`` to the same: what the head's output layer gets."""
        return _features(self, x, self.layout)

    def last_product(self) -> tuple[torch.Tensor, torch.Tensor | None] | None:
        """Weight ``(outputs, hidden)`` and bias ``(outputs,)`` of the head's output layer; None where it is adapted."""
        output, added = self.get_submodule(self.layout.output), self.layout.added
        if not isinstance(output, Linear):
            return None
        return output.weight, self.get_submodule(added).bias if added else output.bias

    def output_weight(self) -> torch.Tensor | None:
        """The weight ``(outputs, hidden)`` of a head that is one matrix product and nothing else; None otherwise."""
        layout = self.layout
        if layout.dense or layout.norm or layout.added or layout.output_bias or layout.dropout:
            return None
        output = self.get_submodule(layout.output)
        return output.weight if isinstance(output, Linear) else None  # an adapted one is more than its weight

    def past_states(self) -> torch.Tensor | None:
        """Keys and values ``(layers * 2, heads, tokens, width of a head)`` before every sequence; None where there are
        none."""
        layers = [layer for layer in self.prepended if layer.active and not layer.in_sequence]
        return layers[0].states() if layers else None

    def cached_states(self, kept: dict[Any, Any] | None) -> Any:
        """What reads new tokens beside the keys and values of those before; None where the family has none.

        Args:
            kept: what is used again by the next one; None computes with the modules alone.
        """
        found = getattr(self._family, "cached_states", None)
        return None if found is None else found(self.backbone, kept)

    def target_states(self) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
        """What reads sources once, and what reads one more token of the sequences that are written to them
        (`pytorch_impl.translating`); None where the family has no such ways."""
        if not hasattr(self._family, "remembered"):
            return None
        return partial(self._family.remembered, self.backbone), partial(self._family.continued, self.backbone)

    def attentions(self, inputs: Inputs) -> list[torch.Tensor] | None:
        """Of every decoder layer how much target tokens attend to source tokens, ``(batch, heads, target, source)``;
        None where the family has no such attention."""
        found = getattr(self._family, "attentions", None)
        return None if found is None else found(self.backbone, self.extended(inputs))

    def cached_head(self, kept: dict[Any, Any] | None) -> Callable[[torch.Tensor], torch.Tensor]:
        """`head`, for some rows of many batches."""
        output, added = layer(self.get_submodule(self.layout.output), kept), self.layout.added
        if added is None:
            return lambda x: output(self.features(x))
        bias = self.get_submodule(added).bias
        return lambda x: output(self.features(x)) + bias

    def hidden_states(self, inputs: Inputs) -> list[torch.Tensor]:
        """The embeddings and every layer's output, each ``(batch, seq, hidden)``; virtual tokens of a prompt are among the
        positions. Of a network that gives one vector for the whole, that vector ``(batch, hidden)``."""
        return self._family.hidden_states(self.backbone, self.extended(inputs))


class _Holder(nn.Module):
    """A name on the way to a module; `transformers` may call it where it expects a layer, and gets nothing."""

    def forward(self, *_: object, **__: object) -> None:
        """Nothing."""


def _read(hidden: torch.Tensor, inputs: Inputs, position: str) -> torch.Tensor:
    """Of ``(batch, virtual tokens + seq, hidden)``, or ``(batch, hidden)`` of the whole, what a head at this position
    reads."""
    if position == POOLED:
        return hidden
    if position == FIRST:
        return hidden[:, 0]
    if position == WRITTEN:
        return hidden
    hidden = hidden[:, hidden.shape[1] - inputs["input_ids"].shape[1] :]
    return hidden if position in (EACH, STATES) else _at(hidden, inputs["attention_mask"].sum(-1) - 1)


def _at(hidden: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), positions]


def _features(network: nn.Module, x: torch.Tensor, layout: HeadLayout) -> torch.Tensor:
    if layout.dense:
        x = network.get_submodule(layout.dense)(network.get_submodule(layout.dense_dropout_path)(x))
        x = _ACTIVATIONS[layout.activation](x)
    if layout.norm:
        x = network.get_submodule(layout.norm)(x)
    return network.get_submodule(layout.dropout_path)(x)


def _place(root: nn.Module, path: str, module: nn.Module) -> None:
    *parents, leaf = path.split(".")
    for name in parents:
        if getattr(root, name, None) is None:
            setattr(root, name, _Holder())
        root = getattr(root, name)
    setattr(root, leaf, module)


def _add_head(network: Network, spec: ModelSpec) -> None:
    layout: HeadLayout = spec.layout
    width = FAMILIES.get(spec.family).backbone(spec.config).width
    inside = _add_reading(network, layout, width)
    for module in layout.modules(width, layout.count(spec.config)):
        if module in inside:
            continue
        if module.path == layout.added:
            holder = network.get_submodule(module.path)
            holder.bias = nn.Parameter(torch.zeros(module.out_features))
        elif module.kind is LAYER_NORM:
            _place(network, module.path, LayerNorm(module.in_features, eps=layout.norm_eps))
        elif module.path == layout.chain:
            _place(network, module.path, Chain(module.out_features))
        elif module.kind.lookup:
            _place(network, module.path, nn.Embedding(module.in_features, module.out_features))
        elif module.kind is not LINEAR:
            _place(network, module.path, _output(module))
        else:
            linear = Linear(module.in_features, module.out_features, bias=module.bias)
            if module.tied_to:
                linear.weight = network.get_submodule(module.tied_to).weight
            _place(network, module.path, linear)
    for one in filter(None, (layout, layout.beside)):
        if one.dense:
            _place(network, one.dense_dropout_path, Dropout(one.dense_dropout_path, one.dense_dropout))
        _place(network, one.dropout_path, Dropout(one.dropout_path, one.dropout))


def _add_reading(network: Network, layout: HeadLayout, width: int) -> tuple[ModuleSpec, ...]:
    """Put the module that reads all states in its place; returns what is inside of it."""
    reading = layout.reading
    if reading is None:
        return ()
    module = importlib.import_module(f"pytorch_impl.readouts.{file_name(reading.name)}")
    _place(network, reading.path, module.readout(width, reading.arguments))
    return reading.modules


def _output(module: ModuleSpec) -> nn.Module:
    """An output that is no linear layer: ``Output`` of the layers of its kind."""
    layer = importlib.import_module(f"pytorch_impl.layers.{module.kind.name}")
    return layer.Output(module.in_features, module.out_features)


def _add_companion(network: Network, companion: Companion) -> None:
    other = Network(companion.spec)
    setattr(network, companion.name, other)
    for module in other.modules():
        if isinstance(module, Dropout):  # of its head; those of `transformers` get their paths with the whole model
            module.path = f"{companion.name}.{module.path}"
    path, _, leaf = companion.table.rpartition(".")
    ours, theirs = network.get_submodule(companion.table), other.get_submodule(companion.table)
    if companion.sharing == SHARED:
        replaced = theirs.weight
        for module in other.modules():  # the table, and an output that shares its weight
            if getattr(module, "weight", None) is replaced:
                module.weight = ours.weight
    elif companion.sharing == DISENTANGLED:
        setattr(network.get_submodule(path), leaf, Disentangled(ours, theirs))


def build_model(spec: ModelSpec, device: str) -> nn.Module:
    """Build ``spec`` on ``device`` with its arrays, in evaluation mode.

    Raises:
        InputError: the arrays are not exactly the model's parameters.
    """
    model = Network(spec) if spec.layout is not None else foreign.build(spec)
    carry_out(model, spec.edits, {})
    integers = spec.integers()
    names = {name: expected(tuple(p.shape), integers.get(name)) for name, p in model.named_parameters()}
    write_parameters(model, names, spec.arrays)
    return model.to(device).eval()
