"""Tensor trains: rows and columns of a weight are split into modes, and the tensor of their pairs is decomposed by one
truncated SVD after the other (Oseledets 2011, TT-SVD; Novikov et al. 2015 for layers)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from common.compression.matrices import outputs_first, refuse, relative
from common.compression.report import ModuleReport, Report
from common.compression.transform import Statistics, Transform, TransformOptions, matches, size_problems
from common.methods.targets import Match
from common.models.layers.tensor_train import MEMBER as TENSOR_TRAIN_LAYER
from common.models.layers.tensor_train import TensorTrainArguments, cores
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec
from common.models.structure import restructured

__all__ = ["MEMBER", "TensorTrain", "TensorTrainOptions", "Train", "covering", "modes", "tt_svd"]

_CHOICES = ("rank", "share", "eps")
_ORDERS = (2, 3, 4)


@dataclass(frozen=True)
class TensorTrainOptions(TransformOptions):
    """One of ``rank``, ``share`` and ``eps`` is given; a target's own ``rank`` goes before it."""

    order: int = 3  #: number of cores
    rank: int | None = None  #: the largest between two cores
    share: float | None = None  #: of a module's weight, the parameters that its cores may hold
    eps: float | None = None  #: the largest relative error; ranks are the smallest that keep each step's part of it
    larger: bool = False  #: allow cores that hold more than the weight

    def problems(self) -> Iterator[tuple[str, str]]:
        """None or several of the three choices, or a value out of range."""
        yield from super().problems()
        yield from size_problems(self, _CHOICES)
        if self.order not in _ORDERS:
            yield "order", f"must be one of {', '.join(map(str, _ORDERS))}; received {self.order}"


@dataclass(frozen=True)
class Train:
    """The cores of a tensor, ``(rank before, mode, rank after)`` each, all of the same norm."""

    cores: tuple[np.ndarray, ...]
    discarded: tuple[float, ...]  #: Frobenius norm of what each truncation left out

    @property
    def ranks(self) -> tuple[int, ...]:
        """Between the cores."""
        return tuple(core.shape[2] for core in self.cores[:-1])

    @property
    def bound(self) -> float:
        """The error in the Frobenius norm is at most this (Oseledets 2011, theorem 2.2)."""
        return math.sqrt(math.fsum(lost**2 for lost in self.discarded))


def tt_svd(tensor: np.ndarray, rank: int | None = None, eps: float | None = None) -> Train:
    """Decompose a tensor of order 2 or more, in float64.

    Args:
        rank: the largest rank that is kept.
        eps: the largest relative error, of which every truncation may take the same part; without either the train is
            exact to rounding.
    """
    allowed = (eps or 0.0) * float(np.linalg.norm(tensor)) / math.sqrt(tensor.ndim - 1)
    found, discarded, rest, before = [], [], tensor, 1
    for mode in tensor.shape[:-1]:
        u, values, vt = np.linalg.svd(rest.reshape(before * mode, -1), full_matrices=False)
        tails = np.sqrt(np.cumsum((values**2)[::-1])[::-1])  # what is lost by leaving out from here on
        kept = max(1, int((tails > allowed).sum())) if eps is not None else len(values)
        kept = min(kept, rank or kept)
        found.append(u[:, :kept].reshape(before, mode, kept))
        discarded.append(float(tails[kept]) if kept < len(tails) else 0.0)
        rest, before = values[:kept, None] * vt[:kept], kept
    found.append(rest.reshape(before, tensor.shape[-1], 1))
    return Train(tuple(_even(found)), tuple(discarded))


def _even(found: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The same product, with the norm divided among the cores, so that rounding and weight decay treat them alike."""
    norms = [float(np.linalg.norm(core)) for core in found]
    if not all(norms):
        return list(found)
    each = math.exp(math.fsum(map(math.log, norms)) / len(norms))
    return [core * (each / norm) for core, norm in zip(found, norms, strict=True)]


def modes(size: int, order: int) -> tuple[int, ...]:
    """``order`` factors of ``size``, as equal as its prime factors allow, in increasing order."""
    primes, rest, prime = [], size, 2
    while rest > 1:
        while rest % prime == 0:
            primes.append(prime)
            rest //= prime
        prime = prime + 1 if prime * prime <= rest else max(rest, 2)
    parts = [1] * order
    for factor in sorted(primes, reverse=True):
        parts[parts.index(min(parts))] *= factor
    return tuple(sorted(parts))


def covering(size: int, order: int) -> tuple[int, ...]:
    """``order`` nearly equal numbers whose product is ``size`` or little more, in decreasing order."""
    parts = [math.ceil(size ** (1 / order))] * order
    smaller = True
    while smaller:
        smaller = False
        for index in range(order - 1, -1, -1):
            reduced = [*parts[:index], parts[index] - 1, *parts[index + 1 :]]
            if min(reduced) >= 1 and math.prod(reduced) >= size:
                parts, smaller = reduced, True
    return tuple(sorted(parts, reverse=True))


class TensorTrain(Transform):
    """Replaces linear layers, in either weight layout, and embeddings."""

    name = "tensor_train"
    Options = TensorTrainOptions

    def apply(
        self, spec: ModelSpec, options: TensorTrainOptions, statistics: Statistics | None = None
    ) -> tuple[ModelSpec, Report]:
        """Decompose every target; one whose ``eps`` needs more parameters than its weight has is left as it is, and
        reported."""
        found = matches(options, spec)
        refuse(_RULE, [problem for item in found for problem in _problems(item, options)])
        arrays, edits, rows = dict(spec.arrays), list(spec.edits), []
        for item in found:
            module, weight = item.module, arrays[f"{item.module.path}.weight"]
            arguments = _shape(module, options.order)
            rank = _rank(item, options)
            train = tt_svd(_tensor(module, weight, arguments), rank, options.eps if rank is None else None)
            edit = TENSOR_TRAIN_LAYER.edit(module, dataclasses.replace(arguments, ranks=train.ranks))
            size = sum(core.size for core in train.cores)
            if size >= weight.size and not options.larger:
                note = f"left as it is: the error needs ranks {list(train.ranks)}, more parameters than the weight has"
                norm = float(np.linalg.norm(weight.astype(np.float64)))
                rows.append(ModuleReport(module.path, weight.size, weight.size, 0.0, norm, note=note))
                continue
            exact = _named(edit.path, module, train, edit.arguments)
            rows.append(_row(module, weight, train, TENSOR_TRAIN_LAYER.dense(edit, exact)))
            del arrays[f"{module.path}.weight"]
            arrays |= {name: np.ascontiguousarray(core, np.float32) for name, core in exact.items()}
            edits.append(edit)
        if len(edits) == len(spec.edits):
            refuse(_RULE, [f"{row.path}: {row.note}" for row in rows])
        changed = restructured(spec, edits, arrays)
        return changed, Report.of(tuple(rows), spec, changed)

    def example(self, targets: Sequence[str]) -> TensorTrainOptions:
        """Cores of at most half the size of the weight."""
        return dataclasses.replace(super().example(targets), share=0.5)


_RULE = "Every target must have a tensor train that is smaller"


def _shape(module: ModuleSpec, order: int) -> TensorTrainArguments:
    """Its modes; the outputs' increase and the inputs' decrease, so that their products are nearly equal."""
    inputs = covering(module.in_features, order) if module.kind.lookup else modes(module.in_features, order)[::-1]
    return TensorTrainArguments(modes(module.out_features, order), inputs, (1,) * (order - 1))


def _tensor(module: ModuleSpec, weight: np.ndarray, arguments: TensorTrainArguments) -> np.ndarray:
    """Of order d, with modes (i_k o_k); rows that an embedding lacks are zeros."""
    matrix = outputs_first(module, weight).T  # (in, out)
    covered = np.zeros((math.prod(arguments.inputs), matrix.shape[1]))
    covered[: len(matrix)] = matrix
    order = len(arguments.inputs)
    paired = [axis for k in range(order) for axis in (k, order + k)]
    tensor = covered.reshape(*arguments.inputs, *arguments.outputs).transpose(paired)
    return tensor.reshape([i * o for i, o in zip(arguments.inputs, arguments.outputs, strict=True)])


def _named(path: str, module: ModuleSpec, train: Train, arguments: TensorTrainArguments) -> dict[str, np.ndarray]:
    """The cores as the layer stores them, float64."""
    found = {}
    for number, (core, shape) in enumerate(zip(train.cores, cores(arguments), strict=True)):
        split = core.reshape(shape)
        found[f"{path}.core{number}"] = split.transpose(1, 0, 2, 3) if module.kind.lookup else split
    return found


def _row(module: ModuleSpec, weight: np.ndarray, train: Train, product: np.ndarray) -> ModuleReport:
    norm = float(np.linalg.norm(weight.astype(np.float64)))
    error = relative(float(np.linalg.norm(product - weight)), norm)
    details = {"ranks": ",".join(map(str, train.ranks)), "bound": f"{relative(train.bound, norm):.4f}"}
    return ModuleReport(module.path, weight.size, sum(core.size for core in train.cores), error, norm, details)


def _size(arguments: TensorTrainArguments, rank: int) -> int:
    """Parameters with every rank ``rank``, or the largest that its place allows."""
    sizes = [i * o for i, o in zip(arguments.inputs, arguments.outputs, strict=True)]
    ranks = [min(rank, math.prod(sizes[:k]), math.prod(sizes[k:])) for k in range(1, len(sizes))]
    return sum(math.prod(core) for core in cores(dataclasses.replace(arguments, ranks=tuple(ranks))))


def _rank(item: Match, options: TensorTrainOptions) -> int | None:
    """The rank that does not depend on the weight; None for ``eps``, 0 where a share is too small for any."""
    if item.target.rank is not None:
        return item.target.rank
    if options.share is None:
        return options.rank
    module, arguments = item.module, _shape(item.module, options.order)
    limit = options.share * module.in_features * module.out_features
    low, high = 0, max(module.in_features, module.out_features) ** 2  # a rank that fits, one that is above the largest
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if _size(arguments, middle) <= limit else (low, middle)
    return low


def _problems(item: Match, options: TensorTrainOptions) -> Iterator[str]:
    module, rank = item.module, _rank(item, options)
    if rank is None:
        return
    arguments = _shape(module, options.order)
    size = _size(arguments, rank) if rank else 0
    modes_ = " x ".join(f"({i} x {o})" for i, o in zip(arguments.inputs, arguments.outputs, strict=True))
    named = f"{module.path} of modes {modes_} (in x out)"
    if rank < 1:
        yield f"{named}: a share of {options.share:g} leaves no rank. Give a larger share, or exclude it"
    elif size >= module.in_features * module.out_features and not options.larger:
        yield f"{named}: at rank {rank} the cores hold {size:,} parameters, no fewer than the weight. Use a smaller rank, or set larger=true"


MEMBER = TensorTrain()
