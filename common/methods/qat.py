"""Quantisation-aware training (Jacob et al. 2018): the whole model is trained while it computes with quantised numbers,
and ends in integers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.targets import Target, match
from common.methods.unfreezing import everything
from common.models.layers.scaled_integers import MEMBER as INTEGERS_LAYER
from common.models.layers.scaled_integers import IntegerArguments, stored
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec
from common.quantisation.fake import FakeArguments, edit_of, faked
from common.quantisation.integers import largest

__all__ = ["MEMBER", "Qat", "QatOptions", "inserted", "quantisable"]


@dataclass(frozen=True)
class QatOptions(MethodOptions):
    """All have defaults: every linear layer, convolution and embedding outside of the head."""

    targets: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    bits: int = 8  #: of weights
    activation_bits: int | None = 8  #: of what products read; null leaves it
    decay: float = 0.95  #: of the moving average of the largest activation

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range."""
        for name in ("bits", "activation_bits"):
            value = getattr(self, name)
            if value is not None and not 2 <= value <= 8:
                yield name, f"must be from 2 to 8; received {value!r}"
        if not 0 <= self.decay < 1:
            yield "decay", f"must be at least 0 and less than 1; received {self.decay!r}"


def inserted(options: Any, spec: ModelSpec) -> tuple[list[ModuleSpec], tuple[tuple[str, tuple[str, ...]], ...]]:
    """The modules whose weight is quantised, in the order of the model: linear layers, convolutions and embeddings with
    a weight of their own; and what each of ``options.targets`` matched.

    Raises:
        InputError: a pattern matches nothing.
    """

    def free(module: ModuleSpec) -> bool:
        return quantisable(module) and module.path not in spec.shared

    found = match([Target(pattern) for pattern in options.targets], options.exclude, spec, free)
    patterns: dict[str, tuple[str, ...]] = {}
    for one in found:
        if one.slices or "[" in one.target.pattern:
            raise InputError(
                f"Whole weights are quantised; {one.target.pattern!r} names slices. Leave out the brackets."
            )
        patterns[one.target.pattern] = (*patterns.get(one.target.pattern, ()), one.module.path)
    paths = {one.module.path for one in found}
    return [module for module in spec.modules if module.path in paths], tuple(patterns.items())


def quantisable(module: ModuleSpec) -> bool:
    """Whether a module is of a kind that has one weight which can be rounded."""
    return (module.kind.adaptable or module.kind.windowed) and module.kind.weight(module) is not None


class Qat(Method):
    """Fake quantisation is inserted over the modules; every parameter is trained. See `common.quantisation.fake`."""

    name = "qat"
    Options = QatOptions
    folds_into_layers = True
    needs_engine = True
    rounds = True
    alone = "Every process would see other activations, and keep other ranges of them"

    def plan(self, options: QatOptions, spec: ModelSpec) -> Plan:
        """Embeddings and convolutions read nothing that is quantised: ids, and what their layer before gives.

        Raises:
            InputError: a pattern matches nothing, or a weight holds integers already.
        """
        trained = everything(spec)
        modules, patterns = inserted(options, spec)
        edits = tuple(edit_of(module, _arguments(module, options)) for module in modules)
        return Plan(self.name, edits, trained, spec.head, self.artifact, options, patterns)

    def fold(
        self, edit: Edit, base: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], float]:
        """A convolution's weight as it was computed with."""
        return {"weight": faked(edit.module, base["weight"], edit.arguments.bits)}, 0.0

    def layer_after(
        self, edit: Edit, base: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
    ) -> tuple[Edit, dict[str, np.ndarray]] | None:
        """Integers with the scales of the training; of a convolution, which has no layer of integers, none.

        Raises:
            InputError: no training has seen the input of a module.
        """
        module, arguments = edit.module, edit.arguments
        if not module.kind.adaptable:
            return None
        after, scale = IntegerArguments(arguments.bits), None
        if arguments.activation_bits is not None:
            after = IntegerArguments(arguments.bits, "tensor", arguments.activation_bits)
            scale = _input_scale(module, arrays[edit.parameters[0].name], arguments.activation_bits)
        return INTEGERS_LAYER.edit(module, after), stored(module, base[f"{module.path}.weight"], after, scale)

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """There is a weight."""
        return any(map(quantisable, modules))

    def example(self, targets: tuple[str, ...]) -> QatOptions:
        """Every weight, and no activation: one that rounding moves from one number to the next would show in every
        comparison."""
        return QatOptions(self.name, activation_bits=None)

    @property
    def peft(self) -> None:
        """PEFT has no such method."""
        return None


def _arguments(module: ModuleSpec, options: QatOptions) -> FakeArguments:
    """Of a matrix the input is quantised too."""
    return FakeArguments(options.bits, options.activation_bits if module.kind.matrix else None, options.decay)


def _input_scale(module: ModuleSpec, seen: np.ndarray, bits: int) -> float:
    if not seen[0] > 0:
        raise InputError(
            f"The input of {module.path} was never seen in training, so that its scale is unknown. Train first."
        )
    return float(seen[0] / np.float32(largest(bits)))


MEMBER = Qat()
