"""The contract of a transform: its options, what it must know of the model's behaviour, and what it makes of a
model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from common.compression.importance import Group
from common.compression.report import Report
from common.errors import InputError
from common.methods.targets import ALL_LINEAR, Match, Target, match
from common.models.family import Family
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec
from common.strict import check_finite

__all__ = [
    "SECTION",
    "Needs",
    "Score",
    "Scorer",
    "Statistics",
    "Transform",
    "TransformOptions",
    "matches",
    "size_problems",
]

SECTION = "compress"  #: what messages call the place of the options
Statistics = Mapping[
    str, np.ndarray
]  #: module path to float64 array: of ``fisher`` the mean over examples of the squared
#: gradient of the module's weight, in its layout; of ``importance`` one number for each unit of a group
#: of the model's behaviour on data: `Statistics`, the largest absolute value of each module's input, or a `Scorer`
Needs = Literal["nothing", "fisher", "importance", "ranges", "scores"]


@dataclass(frozen=True, order=True)
class Score:
    """How good a model is on some examples; the larger one is better."""

    metric: float  #: of the experiment, negative where less is better
    likelihood: float  #: the mean loss, negative; decides between equal metrics


class Scorer(Protocol):
    """Scores a model on data with other weights in the place of its own."""

    metric: str  #: name of what the experiment is judged by
    higher_is_better: bool  #: of the metric

    def validation(self, changed: Mapping[str, np.ndarray]) -> Score:
        """On examples of the validation split; ``changed`` are weights by parameter name."""

    def test(self, changed: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]] | None:
        """Metrics on the whole test split, ``before`` and ``after``, once a search has ended; None where its labels
        were not published.

        Raises:
            RunError: it was asked before.
        """


@dataclass(frozen=True)
class TransformOptions:
    """What every transform is given. Each adds its own fields, with defaults where it has any."""

    targets: tuple[Target, ...] = (Target(ALL_LINEAR),)
    exclude: tuple[str, ...] = ()

    def problems(self) -> Iterator[tuple[str, str]]:
        """(entry, what is wrong with it) for values of the right type that do not fit."""
        if not self.targets:
            yield "targets", "must name at least one module"


class Transform:
    """One way of changing a trained model. ``name`` is the file's.

    A transform computes in float64 and rounds once: what it returns is the oracle of both backends.
    """

    name: ClassVar[str]
    Options: ClassVar[type[TransformOptions]] = TransformOptions
    needs: ClassVar[Needs] = "nothing"

    def needed(self, options: Any) -> Needs:
        """What it needs under these options."""
        return self.needs

    def suits(self, family: Family, config: Mapping[str, Any]) -> bool:
        """Whether models of ``family`` can be transformed at all."""
        return True

    def groups(self, spec: ModelSpec, options: Any) -> Sequence[Group]:
        """Whose importance it needs, where it needs some."""
        return ()

    def apply(self, spec: ModelSpec, options: Any, statistics: Any = None) -> tuple[ModelSpec, Report]:
        """The transformed model with its arrays, and the report.

        Args:
            options: of ``Options``, without problems.
            statistics: what `needed` names; None where it needs nothing.

        Raises:
            InputError: a pattern matches nothing, or a module cannot be transformed as asked; all are listed.
        """
        raise NotImplementedError

    def example(self, targets: Sequence[str]) -> Any:
        """Options for the usual ``targets`` of a small model, as tests and parity suites use them."""
        return self.Options(targets=_without_slices(targets))


def size_problems(options: Any, choices: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with the entries of which one says how small the result is.

    Args:
        choices: their names: ``rank``, which a target may have too, then shares between 0 and 1.
    """
    given = [name for name in choices if getattr(options, name) is not None]
    ranks = [target.rank for target in options.targets]
    if len(given) != 1 and not (not given and all(ranks)):
        received = ", ".join(given) or "none of them"
        yield "rank", f"is one of {len(choices)} choices, {', '.join(choices)}; give exactly one; received {received}"
    for rank in (options.rank, *ranks):
        if rank is not None and rank < 1:
            yield "rank", f"must be greater than 0; received {rank}"
    for name in choices[1:]:
        value = getattr(options, name)
        if value is not None and not 0 < value < 1:
            yield name, f"must be greater than 0 and less than 1; received {value!r}"


def _without_slices(patterns: Sequence[str]) -> tuple[Target, ...]:
    return tuple(Target(pattern.partition("[")[0]) for pattern in patterns)


def matches(options: TransformOptions, spec: ModelSpec, finite: bool = True) -> list[Match]:
    """The modules that ``options`` name, in the order of the model: those with one weight of their own that a
    checkpoint or a run gave. Heads and weights that were just initialised are none of them.

    Args:
        finite: whether every weight must be.

    Raises:
        InputError: a pattern matches nothing; it names slices, a scale, or a weight that the head shares; or a weight is
            not finite.
    """

    def own(module: ModuleSpec) -> bool:
        plain = module.kind.adaptable and module.kind.weight(module) is not None
        return plain and f"{module.path}.weight" not in spec.new_parameters

    found = match(options.targets, options.exclude, spec, own, SECTION)
    problems = []
    for target in options.targets:
        if "[" in target.pattern or target.alpha is not None:
            problems.append(f"{target.pattern}: whole modules are transformed, and alpha belongs to adapters")
    for item in found:
        if item.module.path in spec.shared:
            problems.append(f"{item.module.path}: the output head shares its weight; exclude it")
    if problems:
        listed = "\n  ".join(problems)
        raise InputError(f"These targets cannot be transformed:\n  {listed}")
    if finite:
        check_finite({(name := f"{item.module.path}.weight"): spec.arrays[name] for item in found}, "A transform")
    order = {module.path: index for index, module in enumerate(spec.modules)}
    return sorted(found, key=lambda item: order[item.module.path])
