"""The contract of a method: its options, the plan that they make of a model, and what becomes of the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from common.edits import Edit
from common.methods.plan import Plan

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from common.methods.peft.format import PeftFormat
    from common.methods.steering import Steering
    from common.models.modules import ModuleSpec
    from common.models.specs import ModelSpec

__all__ = ["Method", "MethodOptions"]


@dataclass(frozen=True)
class MethodOptions:
    """The section ``adaptation`` of an experiment. Each method adds its own fields, with defaults where it has any."""

    CHOICE = "method"  #: the entry that chooses the class

    method: str

    @property
    def prepended(self) -> int:
        """Virtual tokens before every sequence, which take positions of the model."""
        return 0

    @classmethod
    def select(cls, section: Mapping[str, Any]) -> type[MethodOptions]:
        """The options of the method that ``section`` names.

        Raises:
            InputError: there is no such method.
        """
        from common.methods import METHODS

        return METHODS.get(str(section.get("method"))).Options

    def problems(self) -> Iterator[tuple[str, str]]:
        """(entry, what is wrong with it) for values of the right type that do not fit."""
        yield from ()


class Method:
    """One way of adapting a model."""

    name: ClassVar[str]
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    artifact: ClassVar[str] = "adapter"  #: or ``checkpoint``, where the whole model is stored
    needs_head: ClassVar[bool] = False  #: whether it trains nothing but a new head
    mergeable: ClassVar[bool] = False  #: whether `fold` folds its edits into a module's own parameters
    folds_into_layers: ClassVar[bool] = False  #: whether a merged model, not a network in memory, has its edits' result
    needs_engine: ClassVar[bool] = False  #: whether it is there for models of this project alone
    rounds: ClassVar[bool] = False  #: whether the network computes with rounded numbers while it is trained
    alone: ClassVar[str | None] = None  #: why several processes cannot train it together

    def completed(self, options: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
        """``options`` with what only the tokenizer can tell of them. Called before `plan`, where there is one."""
        return options

    def plan(self, options: Any, spec: ModelSpec) -> Plan:
        """Resolve ``options`` against the model's modules.

        Raises:
            InputError: a pattern matches nothing, or nothing would be trained.
        """
        raise NotImplementedError

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """Whether a network of these modules has what the method edits: by default a matrix."""
        return any(module.kind.matrix for module in modules)

    def example(self, targets: tuple[str, ...]) -> MethodOptions:
        """Options for a small network, for parity suites and tests.

        Args:
            targets: the family's usual ones.
        """
        return self.Options(self.name)

    def delta(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """Two float64 matrices whose product is what ``edit`` adds to its module's weight, in the weight's layout; None
        where it is no low-rank update."""
        return None

    def steering(self, plan: Plan) -> Steering | None:
        """What is done in every step of a training besides following the gradient; None where nothing is."""
        return None

    def check_length(self, options: Any, steps: int) -> None:
        """Raises InputError where the method does not fit a training of ``steps`` steps."""

    def fold(
        self, edit: Edit, base: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], float]:
        """The parameters of the module with ``edit`` folded in: those that change, by leaf, rounded once from float64
        to float32, and the relative rounding error of the weight. Called where the method is ``mergeable``.

        Args:
            base: the module's ``weight``, as stored, and its ``bias`` where it has one.
            arrays: the trained parameters, by name.
        """
        from common.methods.merge import merged_weight

        factors = self.delta(edit, arrays)
        assert factors is not None  # or the method overrides this one, or is not mergeable
        weight, error = merged_weight(base["weight"], factors)
        return {"weight": weight}, error

    def layer_after(
        self, edit: Edit, base: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
    ) -> tuple[Edit, dict[str, np.ndarray]] | None:
        """The structural edit that a merged model has in the place of a plain module that ``edit`` wraps, and its
        arrays; None where the module stays what it is, and `fold` is called.

        Args:
            base: every array of the model, by name, after training.
            arrays: the trained parameters, by name.
        """
        return None

    def findings(self, plan: Plan, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What a training found besides its metrics, of its best state, ready for JSON; a ``note`` is said."""
        return {}

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """The section ``adaptation`` under which this method plans exactly what an adapter folder holds; None where the
        folder is of another method.

        Args:
            settings: its ``adapter_config.json``.
            shapes: of its arrays, by PEFT's keys without their prefix.
        """
        from common.methods.peft.own import section

        return section(settings, self.name)

    @property
    def peft(self) -> PeftFormat | None:
        """How its adapters are written in PEFT's format; None where PEFT has no such method."""
        from common.methods.peft.plain import PlainFormat

        return PlainFormat()
