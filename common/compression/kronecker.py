"""Kronecker products: every weight becomes the sum of a few products A (x) B, its best approximation of that form in the
Frobenius norm (Van Loan and Pitsianis 1993), as KroneckerBERT does (Tahaei et al. 2022)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from common.compression.matrices import outputs_first, refuse, relative
from common.compression.report import ModuleReport, Report
from common.compression.transform import Statistics, Transform, TransformOptions, matches
from common.models.layers.kronecker import MEMBER as KRONECKER_LAYER
from common.models.layers.kronecker import KroneckerArguments
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec
from common.models.structure import restructured

__all__ = ["MEMBER", "Kronecker", "KroneckerOptions", "candidates", "nearest", "rearranged"]


@dataclass(frozen=True)
class KroneckerOptions(TransformOptions):
    """One of ``factor`` and ``shape`` says how large the right factors are. An embedding's have one row, so that ids
    still take rows of the left ones."""

    factor: int | None = None  #: numbers in a right factor, whose shape is the squarest that divides the weight's
    shape: tuple[int, ...] | None = None  #: (outputs, inputs) of a right factor
    search: bool = False  #: of all shapes with ``factor`` numbers, the one of the smallest error for each module
    terms: int = 1  #: products that are added

    def problems(self) -> Iterator[tuple[str, str]]:
        """None or both of the choices, or a value out of range."""
        yield from super().problems()
        if (self.factor is None) == (self.shape is None):
            received = "none of them" if self.factor is None else "both"
            yield "factor", f"is one of two choices, factor, shape; give exactly one; received {received}"
        if self.factor is not None and self.factor < 2:
            yield "factor", f"must be greater than 1; received {self.factor}"
        if self.shape is not None and (len(self.shape) != 2 or min(self.shape) < 1):
            yield "shape", f"must be two positive integers, outputs and inputs; received {list(self.shape)}"
        if self.search and self.factor is None:
            yield "search", "chooses among the shapes of a factor; give factor"
        if self.terms < 1:
            yield "terms", f"must be greater than 0; received {self.terms}"
        if any(target.rank is not None for target in self.targets):
            yield "targets", "have no rank here; terms is the same for all"


def rearranged(matrix: np.ndarray, outputs: int, inputs: int) -> np.ndarray:
    """The matrix whose approximation of rank r is the best sum of r Kronecker products: a row for every ``(outputs,
    inputs)`` block, which holds the block's numbers."""
    rows, columns = matrix.shape[0] // outputs, matrix.shape[1] // inputs
    blocks = matrix.reshape(rows, outputs, columns, inputs).transpose(0, 2, 1, 3)
    return blocks.reshape(rows * columns, outputs * inputs)


@dataclass(frozen=True)
class _Nearest:
    """A_t (x) B_t by decreasing norm, both of the same norm."""

    left: np.ndarray  #: (terms, out / outputs, in / inputs)
    right: np.ndarray  #: (terms, outputs, inputs)
    error: float  #: relative
    norm: float  #: of the matrix


def nearest(matrix: np.ndarray, outputs: int, inputs: int, terms: int) -> _Nearest:
    """The best sum of ``terms`` Kronecker products with right factors ``(outputs, inputs)``, in float64."""
    u, values, vt = np.linalg.svd(rearranged(matrix, outputs, inputs), full_matrices=False)
    root = np.sqrt(values[:terms])
    left = (u[:, :terms] * root).T.reshape(-1, matrix.shape[0] // outputs, matrix.shape[1] // inputs)
    right = (root[:, None] * vt[:terms]).reshape(-1, outputs, inputs)
    norm = float(np.sqrt((values**2).sum()))
    return _Nearest(left, right, relative(float(np.sqrt((values[terms:] ** 2).sum())), norm), norm)


class Kronecker(Transform):
    """Replaces linear layers, in either weight layout, and embeddings."""

    name = "kronecker"
    Options = KroneckerOptions

    def apply(
        self, spec: ModelSpec, options: KroneckerOptions, statistics: Statistics | None = None
    ) -> tuple[ModelSpec, Report]:
        """Approximate every target; all that do not fit are refused together."""
        found = [item.module for item in matches(options, spec)]
        refuse(
            "Every target must have a Kronecker product that is smaller",
            [problem for module in found for problem in _problems(module, options)],
        )
        arrays, edits, rows = dict(spec.arrays), list(spec.edits), []
        for module in found:
            matrix = outputs_first(module, arrays.pop(f"{module.path}.weight"))
            tried = [(nearest(matrix, a.outputs, a.inputs, a.terms), a) for a in candidates(module, options)]
            best, arguments = min(tried, key=lambda item: item[0].error)
            edits.append(KRONECKER_LAYER.edit(module, arguments))
            left = best.left.transpose(2, 0, 1) if module.kind.lookup else best.left
            for leaf, factor in (("left", left), ("right", best.right)):
                arrays[f"{module.path}.{leaf}"] = np.ascontiguousarray(factor, np.float32)
            details = {"right": f"{arguments.outputs}x{arguments.inputs}", "terms": options.terms}
            after = best.left.size + best.right.size
            rows.append(ModuleReport(module.path, matrix.size, after, best.error, best.norm, details))
        changed = restructured(spec, edits, arrays)
        return changed, Report.of(tuple(rows), spec, changed)

    def example(self, targets: Sequence[str]) -> KroneckerOptions:
        """Two terms of a quarter of the weight's size each."""
        return dataclasses.replace(super().example(targets), factor=4, terms=2)


def candidates(module: ModuleSpec, options: KroneckerOptions) -> list[KroneckerArguments]:
    """What ``options`` let a module become: one, or with ``search`` several; none where no shape divides its sides."""
    if options.shape is not None:
        outputs, inputs = options.shape
        given = [(outputs * inputs, 1) if module.kind.lookup else (outputs, inputs)]
    else:
        factor = options.factor or 0  # one of the two is given
        divisors = [size for size in range(1, factor + 1) if factor % size == 0]
        given = [(factor, 1)] if module.kind.lookup else [(size, factor // size) for size in divisors]
        given.sort(key=lambda shape: (abs(shape[0] - shape[1]), shape))
    fitting = [shape for shape in given if not (module.out_features % shape[0] or module.in_features % shape[1])]
    return [KroneckerArguments(*shape, options.terms) for shape in (fitting if options.search else fitting[:1])]


def _problems(module: ModuleSpec, options: KroneckerOptions) -> Iterator[str]:
    size = module.out_features * module.in_features
    named = f"{module.path} is {module.out_features} x {module.in_features} (out x in)"
    possible = candidates(module, options)
    if not possible:
        wanted = f"shape {list(options.shape)}" if options.shape is not None else f"shape with {options.factor} numbers"
        yield f"{named}: no {wanted} divides its sides. Give another, or exclude it"
        return
    right = possible[0].outputs * possible[0].inputs
    one = size // right + right
    most = min((size - 1) // one, right, size // right)
    if options.terms > most:
        advice = f"Use at most {most}" if most else "Exclude it"
        yield f"{named}: with terms {options.terms} of {one} numbers each nothing is saved. {advice}"


MEMBER = Kronecker()
