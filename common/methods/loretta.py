"""What LoRETTA's two methods (Yang et al. 2024) have in common: options, layers whose weight becomes a tensor train,
and what is trained besides."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from common.edits import Edit, ParameterSpec, Zeros
from common.errors import InputError
from common.methods.merge import rounded
from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.targets import Match, Target, match
from common.methods.trains import Train, core_names, core_parameters, train_of
from common.methods.unfreezing import head_parameters, merged_groups, norms
from common.models.specs import ModelSpec

__all__ = ["DENSE", "DenseArguments", "TrainMethod", "TrainOptions", "cores_of"]

DENSE = "loretta_dense"  #: the layer that computes with a train instead of the weight


@dataclass(frozen=True)
class TrainOptions(MethodOptions):
    """The authors' settings are the defaults, but for ``init``: theirs is ``paper``, where the adapted model does not
    start as the base model."""

    targets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tensor_rank: int = 5
    factors: tuple[tuple[int, ...], ...] = ()  #: how sizes are factorised, instead of `common.methods.trains.factors`
    init: Literal["zero", "paper"] = "zero"  #: of the matrix that an update ends with; paper: random, as every other
    norms: bool = True  #: layer norms are trained
    replaced: tuple[str, ...] = ()  #: linear layers, of the head too, whose weight is a train that starts anew

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is missing or out of range."""
        if not self.targets:
            yield "targets", f"must be given for method {self.method}; it has no default"
        if self.tensor_rank < 1:
            yield "tensor_rank", f"must be greater than 0; received {self.tensor_rank!r}"
        sizes = [math.prod(listed) for listed in self.factors]
        for index, listed in enumerate(self.factors):
            if not listed or min(listed) < 1 or sizes[index] in sizes[:index]:
                yield f"factors.{index}", f"must be positive numbers with a product of their own; received {listed!r}"

    def train(self, in_features: int, out_features: int) -> Train:
        """Of a matrix of these sizes."""
        return train_of(in_features, out_features, self.tensor_rank, self.factors)


@dataclass(frozen=True)
class DenseArguments:
    """y = T x + b, where the matrix T is a train."""

    train: Train

    def trains(self) -> dict[str, Train]:
        """By the prefix of their cores' names."""
        return {"dense": self.train}


def cores_of(prefix: str, train: Train, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The cores that `common.methods.trains.core_parameters` names, float64."""
    return [arrays[name].astype(np.float64) for name in core_names(prefix, train)]


class TrainMethod(Method):
    """Wraps the targets by `edit`; trains the edits, layer norms, the replaced layers and the task head."""

    def edit(self, found: Match, options: Any) -> Edit:
        """The edit of one target."""
        raise NotImplementedError

    def plan(self, options: Any, spec: ModelSpec) -> Plan:
        """Edits of the targets and of the replaced layers.

        Raises:
            InputError: a pattern matches nothing, or names slices; or a layer is named twice, or no matrix has
                the size of some factors.
        """
        found = match([Target(pattern) for pattern in options.targets], options.exclude, spec, lambda m: m.kind.matrix)
        whole = dataclasses.replace(spec, head=())  # a new pooler is part of the head, and replaced
        named = [Target(pattern) for pattern in options.replaced]
        dense = match(named, (), whole, lambda m: m.kind.matrix, entry="replaced")
        for one in (*found, *dense):
            self._refuse(one, spec)
        edits = {one.module.path: self.edit(one, options) for one in found}
        twice = [one.module.path for one in dense if one.module.path in edits]
        if twice:
            raise InputError(f"A layer is either adapted or replaced; {twice[0]} is named by targets and by replaced.")
        edits |= {one.module.path: _dense(one, options) for one in dense}
        _refuse_unused(options, edits.values())
        patterns: dict[str, tuple[str, ...]] = {}
        for one in (*found, *dense):
            patterns[one.target.pattern] = (*patterns.get(one.target.pattern, ()), one.module.path)
        heads = tuple(path for path in spec.head if path not in edits)
        head = tuple(p for p in head_parameters(spec) if p.name.rpartition(".")[0] in heads)
        unfrozen = merged_groups(head, norms(spec) if options.norms else ())
        ordered = tuple(edits[module.path] for module in spec.modules if module.path in edits)
        return Plan(self.name, ordered, unfrozen, heads, self.artifact, options, tuple(patterns.items()))

    def _refuse(self, found: Match, spec: ModelSpec) -> None:
        if found.slices:
            raise InputError(
                f"Tensor trains are of whole layers; {found.target.pattern!r} names slices of {found.module.path}. "
                "Leave out the brackets."
            )
        if spec.layout is not None and found.module.path == spec.layout.output:
            raise InputError(f"The task's output layer {found.module.path} is trained whole. Leave it out of replaced.")

    def example(self, targets: tuple[str, ...]) -> MethodOptions:
        """The usual targets, whole."""
        whole = tuple(dict.fromkeys(target.partition("[")[0] for target in targets))
        return self.Options(self.name, targets=whole)  # type: ignore[call-arg]

    def fold(
        self, edit: Edit, base: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], float]:
        """The train's matrix in the place of a replaced weight."""
        if edit.layer != DENSE:
            return super().fold(edit, base, arrays)
        train = edit.arguments.train
        whole = train.matrix(cores_of(f"{edit.path}.dense", train, arrays))
        weight, error = rounded(whole if edit.module.kind.transposed else whole.T)
        bias = {"bias": arrays[f"{edit.path}.dense_bias"]} if "bias" in base else {}
        return {"weight": weight, **bias}, error

    @property
    def peft(self) -> None:
        """PEFT has no such method."""
        return None


def _refuse_unused(options: TrainOptions, edits: Iterable[Edit]) -> None:
    """Factors of a size that no matrix has would change nothing."""
    trains = [train for edit in edits for train in edit.arguments.trains().values()]
    sizes = {size for train in trains for size in (train.in_features, train.out_features)}
    unused = [list(listed) for listed in options.factors if math.prod(listed) not in sizes]
    if unused:
        raise InputError(
            f"The products of adaptation.factors are sizes of matrices, here {', '.join(map(str, sorted(sizes)))}; received "
            f"{unused[0]}, whose product is {math.prod(unused[0])}. Correct it, or leave it out."
        )


def _dense(found: Match, options: TrainOptions) -> Edit:
    """A train that starts anew, and a bias that starts at zero."""
    path, module = found.module.path, found.module
    train = options.train(module.in_features, module.out_features)
    parameters = core_parameters(f"{path}.dense", train, "dense")
    if module.bias:
        shape = (module.out_features,)
        parameters = (*parameters, ParameterSpec(f"{path}.dense_bias", shape, "dense", Zeros(), decay=False))
    return Edit(path, DENSE, "wrap", module, DenseArguments(train), parameters)
