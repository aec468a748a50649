"""Mirrors pytorch_impl.network; differs: backbones are native cells whose states are ``(batch * seq, hidden)``, and the
head's cells are attributes, since graphs cannot look up a path."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from functools import partial
from types import ModuleType

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.errors import InputError
from common.members import file_name
from common.models import FAMILIES
from common.models.companions import DISENTANGLED, SHARED, Companion
from common.models.family import EACH, FIRST, POOLED, STATES, WRITTEN, HeadLayout
from common.models.modules import ATTENTION, LINEAR, ModuleSpec
from common.models.specs import ModelSpec
from common.strict import expected
from mindspore_impl import functional as F
from mindspore_impl.blocks.activation import ACTIVATIONS, activate
from mindspore_impl.blocks.placing import placed
from mindspore_impl.layers.crf import Chain
from mindspore_impl.layers.disentangled import Disentangled
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import Embedding, LayerNorm, Linear, assign, parameter
from mindspore_impl.rewrite import carry_out, find, parameters, replace, write_parameters

__all__ = ["Network", "build_model", "family", "task"]

_product = ops.MatMul()


def family(name: str) -> ModuleType:
    """The module that builds and runs a family's backbone."""
    return importlib.import_module(f"mindspore_impl.models.{file_name(name)}")


def task(name: str) -> ModuleType:
    """The module with a task's ``loss``."""
    return importlib.import_module(f"mindspore_impl.tasks.{file_name(name)}")


class Network(nn.Cell):
    """Backbone and head."""

    def __init__(self, spec: ModelSpec):
        super().__init__(auto_prefix=False)
        self.family, self.task, self.layout, self.shared = spec.family, spec.task, spec.layout, spec.shared
        self.attention_heads = tuple(module.arguments for module in spec.modules if module.kind is ATTENTION)
        self.fields = spec.schema.names  # of a batch, in the order in which graphs take them
        self.plain, self.position = (), spec.layout.position
        self.prepended = None  # the layer that puts virtual tokens before a sequence; given by `rewrite`
        module = family(spec.family)
        prefix = FAMILIES.get(spec.family).backbone(spec.config).prefix
        self.backbone = placed(module.backbone(spec.config), prefix)
        self._states, self._hidden_states = getattr(module, spec.layout.states), module.hidden_states
        self._first_states = getattr(module, "first_states", None)
        self._cached_states = getattr(module, "cached_states", None)
        self._target_states = None
        if hasattr(module, "remembered"):
            self._target_states = (module.remembered, module.continued)
        self._attentions = getattr(module, "attentions", None)
        self.tied = (
            find(self, spec.layout.tied_to) if spec.layout.tied_to else None
        )  # stays the base table when that is adapted
        self.perturbed_width = spec.perturbed_width
        self.chain = None  # the scores of a chain of the head's outputs, `mindspore_impl.layers.crf.Chain`
        _add_head(self, spec)
        self.companion = None  # the second network that is trained with this one
        if spec.companion is not None:
            _add_companion(self, spec.companion)

    @property
    def layers_in_parts(self) -> int:
        """Number of its last layers that are computed in parts."""
        whole = self.prepended is not None and not self.prepended.in_sequence
        return int(self.position == FIRST and self._first_states is not None and not whole)

    def encode(self, inputs, position):
        """Hidden states ``(batch, hidden)`` at the first or last real position or of the whole, or ``(batch * seq,
        hidden)`` at each; of a sequence that is written ``(batch * target, hidden)``."""
        extended = self.extended(inputs)
        whole = self.prepended is not None and not self.prepended.in_sequence
        if position == FIRST and self._first_states is not None and "last_layer" not in self.plain and not whole:
            return self._first_states(self.backbone, extended)
        return self._in_context(_read(self._states(self.backbone, extended), inputs, position), inputs, position)

    def _in_context(self, states, inputs, position):
        """``(batch * seq, hidden)`` with the first position's added to each, and normed, where the head reads these; or
        ``(batch, width)`` that a module of the head makes of all of them."""
        if position == STATES:
            batch, length = inputs["input_ids"].shape
            return self.reading(F.reshape(states, (batch, length, -1)), inputs["attention_mask"])
        if self.context is None:
            return states
        batch, length = inputs["input_ids"].shape
        first = F.reshape(states, (batch, length, -1))[:, :1]
        return self.context(states + F.reshape(ops.tile(first, (1, length, 1)), states.shape))

    def extended(self, inputs):
        """``inputs`` with what stands before their sequences."""
        if self.prepended is None or not self.prepended.active:
            return inputs
        return self.prepended.extend(inputs)

    def with_ids(self, inputs, input_ids):
        """``inputs`` with other ids ``(batch, seq)``."""
        changed = {}
        for index in range(len(self.fields)):  # graphs know neither zip nor dict()
            changed[self.fields[index]] = inputs[self.fields[index]]
        changed["input_ids"] = input_ids
        return changed

    def virtual_ids(self):
        """The ids ``(tokens,)`` int32 that stand before every sequence of words."""
        layer = self.prepended
        if layer is None or not (layer.active and layer.in_sequence):
            return np.zeros(0, np.int32)
        return layer.edit.module.in_features + np.arange(layer.edit.arguments.tokens, dtype=np.int32)

    def logits(self, inputs, positions=None):
        """What the head gives: ``(batch, labels)``, or ``(batch, seq, outputs)``, or ``(batch, outputs)`` at
        ``positions`` ``(batch,)``."""
        hidden = self.encode(inputs, self.position)
        if positions is not None:
            return self.head(_at(hidden, _read_from(inputs, self.position), positions))
        outputs = self.head(hidden)
        if self.position == EACH or self.position == WRITTEN:
            batch, length = _read_from(inputs, self.position).shape
            return F.reshape(outputs, (batch, length, -1))
        return outputs

    def logits_of(self, hidden, inputs):
        """What the head gives of the last of `hidden_states`."""
        if self.position == POOLED:
            return self.head(hidden)
        batch, length, width = hidden.shape
        read = _read(F.reshape(hidden, (batch * length, width)), inputs, self.position)
        return self.head(self._in_context(read, inputs, self.position))

    def head(self, x):
        """``(..., hidden)`` to ``(..., outputs)``; see `common.models.family.HeadLayout`."""
        x = self.features(x)
        y = F.linear(x, self.tied.weight) if self.output is None else self.output(x)
        return y if self.added is None else y + self.added.bias

    def features(self, x):
        """``(..., hidden)`` to the same: what the head's output layer gets."""
        if self.dense is not None:
            x = activate(self.activation, self.dense(self.dense_dropout(x)), "fused" in self.plain)
        if self.norm is not None:
            x = self.norm(x)
        return self.head_dropout(x)

    def second(self, x):
        """What the second head gives of ``(batch, hidden)`` at the first positions: ``(batch, outputs)``."""
        return self.beside(x)

    def last_product(self):
        """Weight ``(outputs, hidden)`` and bias ``(outputs,)`` or None of a head that is tied to an embedding, and
        whether either is trained."""
        if self.added is None:
            return self.tied.weight, None, self.tied.trained
        return self.tied.weight, self.added.bias, self.tied.trained or self.added.trained

    def output_weight(self):
        """The weight ``(outputs, hidden)`` of a head that is one matrix product and nothing else; None otherwise."""
        return self.tied.weight if self.fused_loss else None

    def past_states(self):
        """Keys and values ``(layers * 2, heads, tokens, width of a head)`` before every sequence; None where there are
        none."""
        layer = self.prepended
        return layer.states() if layer is not None and layer.active and not layer.in_sequence else None

    def cached_states(self, kept):
        """What reads new tokens beside the keys and values of those before; None where the family has none."""
        return None if self._cached_states is None else self._cached_states(self.backbone, kept)

    def target_states(self):
        """What reads sources once, and what reads one more token of the sequences that are written to them
        (`mindspore_impl.translating`); None where the family has no such ways."""
        if self._target_states is None:
            return None
        return tuple(partial(function, self.backbone) for function in self._target_states)

    def attentions(self, inputs):
        """Of every decoder layer how much target tokens attend to source tokens, ``(batch, heads, target, source)``;
        None where the family has no such attention."""
        return None if self._attentions is None else self._attentions(self.backbone, self.extended(inputs))

    def cached_head(self, kept):
        """`head`, for some rows of many batches: of few rows MindSpore's product is faster with the weight
        transposed."""
        if kept is None or self.output is not None:
            return self.head
        transposed, key = self.tied.weight.asnumpy().T, "transposed head"
        if key not in kept:
            value = Tensor(np.ascontiguousarray(transposed))
            kept[key] = Parameter(value, name="transposed_head", requires_grad=False)
        elif not np.array_equal(kept[key].asnumpy(), transposed):
            assign(kept[key], transposed)
        return _transposed_head(self, kept[key])

    def hidden_states(self, inputs):
        """The embeddings and every layer's output, each ``(batch, seq, hidden)``; virtual tokens of a prompt are among the
        positions. Of a network that gives one vector for the whole, that vector ``(batch, hidden)``."""
        extended = self.extended(inputs)
        if self.position == POOLED:
            return self._hidden_states(self.backbone, extended)
        batch, length = extended["input_ids"].shape
        found = self._hidden_states(self.backbone, extended)  # those of a converted network have three axes
        return [state if state.ndim == 3 else F.reshape(state, (batch, length, -1)) for state in found]


def _transposed_head(network: nn.Cell, weight: Parameter) -> Callable[[Tensor], Tensor]:
    """`Network.head` with the output's weight ``(hidden, outputs)``; a closure, since graphs read it as a constant."""

    def head(x):
        y = _product(network.features(x), weight)
        return y if network.added is None else y + network.added.bias

    return head


def _read_from(inputs: dict[str, Tensor], position: str) -> Tensor:
    """The ids of the sequence whose tokens a head at this position reads."""
    return inputs["decoder_input_ids"] if position == WRITTEN else inputs["input_ids"]


def _read(hidden: Tensor, inputs: dict[str, Tensor], position: str) -> Tensor:
    """Of ``(batch * (virtual tokens + seq), hidden)``, which a converted network gives as ``(batch, seq, hidden)``, or
    of ``(batch, hidden)`` of the whole, what a head at this position reads."""
    if position == POOLED:
        return hidden
    if hidden.ndim == 3:
        hidden = F.reshape(hidden, (-1, hidden.shape[-1]))
    if position == WRITTEN:
        return hidden
    batch, length = inputs["input_ids"].shape
    whole = hidden.shape[0] // batch
    if position == FIRST:
        return F.reshape(hidden, (batch, whole, -1))[:, 0]
    if whole > length:
        hidden = F.reshape(F.reshape(hidden, (batch, whole, -1))[:, whole - length :], (batch * length, -1))
    if position in (EACH, STATES):
        return hidden
    return _at(hidden, inputs["input_ids"], inputs["attention_mask"].sum(-1).astype(ms.int32) - 1)


def _at(hidden: Tensor, ids: Tensor, positions: Tensor) -> Tensor:
    batch, length = ids.shape
    return F.index_select(hidden, 0, F.arange(batch).astype(ms.int32) * length + positions)  # (batch, hidden)


class _Bias(nn.Cell):
    """A vector that is added to a tied output, at the path of that output or at its own."""

    def __init__(self, path: str, width: int):
        super().__init__(auto_prefix=False)
        self.path = path
        self.bias: Parameter = parameter(f"{path}.bias", width)
        self.trained = False  # as of an embedding


class _Second(nn.Cell):
    """A head beside another one: ``(batch, hidden)`` to ``(batch, outputs)``."""

    def __init__(self, layout: HeadLayout, width: int):
        super().__init__(auto_prefix=False)
        dense, output = layout.modules(width, layout.count({}))
        self.plain, self.activation = (), _activation(layout)
        self.dense = Linear(dense.path, dense.in_features, dense.out_features)
        self.output = Linear(output.path, output.in_features, output.out_features)
        self.dense_dropout = Dropout(layout.dense_dropout_path, layout.dense_dropout)
        self.dropout = Dropout(layout.dropout_path, layout.dropout)

    def construct(self, x):
        x = activate(self.activation, self.dense(self.dense_dropout(x)), "fused" in self.plain)
        return self.output(self.dropout(x))


def _activation(layout: HeadLayout) -> str | None:
    found = ACTIVATIONS.get(layout.activation)
    if layout.dense and found is None:
        raise InputError(
            f"The MindSpore backend has the activations {', '.join(ACTIVATIONS)}; the head's is {layout.activation!r}."
        )
    return found


def _add_companion(network: Network, companion: Companion) -> None:
    other = Network(companion.spec)
    for held in other.get_parameters():
        held.name = f"{companion.name}.{held.name}"
    for _, cell in other.cells_and_names():
        if hasattr(cell, "path"):
            cell.path = f"{companion.name}.{cell.path}"
    network.companion = other
    ours, theirs = find(network, companion.table), find(other, f"{companion.name}.{companion.table}")
    if companion.sharing == SHARED:
        replace(other, theirs.path, ours)
        other.tied = ours
    elif companion.sharing == DISENTANGLED:
        replace(network, companion.table, Disentangled(ours, theirs))


def _add_head(network: Network, spec: ModelSpec) -> None:
    layout: HeadLayout = spec.layout
    width = FAMILIES.get(spec.family).backbone(spec.config).width
    network.dense, network.norm, network.output, network.added = None, None, None, None
    network.context = None
    network.reading, inside = _reading(layout, width), layout.reading.modules if layout.reading else ()
    for module in dataclasses.replace(layout, beside=None).modules(width, layout.count(spec.config)):
        if module in inside:
            continue
        if layout.table is not None and module.path == layout.table.path:
            network.backbone.read_positions = Embedding(module.path, module.in_features, module.out_features)
        elif module.path == layout.context:
            network.context = LayerNorm(module.path, module.in_features, layout.norm_eps)
        elif module.path == layout.chain:
            network.chain = placed(Chain(module.out_features), module.path)
        elif module.path == layout.norm:
            network.norm = LayerNorm(module.path, module.in_features, layout.norm_eps)
        elif module.path == layout.dense:
            network.dense = Linear(module.path, module.in_features, module.out_features)
        elif module.path == layout.added or (module.tied_to and module.bias):
            network.added = _Bias(module.path, module.out_features)
        elif module.kind is not LINEAR:
            network.output = _output(module)
        elif not module.tied_to:
            network.output = Linear(module.path, module.in_features, module.out_features, bias=module.bias)
    network.beside = None if layout.beside is None else _Second(layout.beside, width)
    network.activation = _activation(layout)
    network.dense_dropout = Dropout(layout.dense_dropout_path, layout.dense_dropout)
    network.head_dropout = Dropout(layout.dropout_path, layout.dropout)
    extra = layout.dense or layout.norm or layout.added or layout.output_bias or layout.dropout
    network.fused_loss = bool(layout.tied_to) and not extra


def _reading(layout: HeadLayout, width: int) -> nn.Cell | None:
    """The module that reads all states, under its names."""
    if layout.reading is None:
        return None
    module = importlib.import_module(f"mindspore_impl.readouts.{file_name(layout.reading.name)}")
    return placed(module.readout(width, layout.reading.arguments), layout.reading.path)


def _output(module: ModuleSpec) -> nn.Cell:
    """An output that is no linear layer: ``Output`` of the layers of its kind."""
    layer = importlib.import_module(f"mindspore_impl.layers.{module.kind.name}")
    return placed(layer.Output(module.in_features, module.out_features), module.path)


def build_model(spec: ModelSpec, device: str) -> nn.Cell:
    """Build ``spec`` with its arrays, in evaluation mode, on the device that `device.select` set."""
    model = Network(spec)
    carry_out(model, spec.edits, {})
    integers = spec.integers()
    names = {name: expected(tuple(p.shape), integers.get(name)) for name, p in parameters(model).items()}
    write_parameters(model, names, spec.arrays)
    model.device = device
    return model.set_train(False)
