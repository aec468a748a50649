"""Merging edits into base weights, in NumPy: the one place where the merged weight is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.methods import METHODS
from common.methods.plan import Plan
from common.models.specs import ModelSpec

__all__ = ["merge_arrays", "merge_problems", "merged_weight", "refuse_unmergeable"]

_BLOCK = 2**16  #: elements of a weight that are merged at once, 512 KiB in float64


def merged_weight(weight: np.ndarray, delta: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, float]:
    """Weight plus left @ right, float32 rounded once from float64, and the relative error of that rounding (Frobenius).

    Some rows at a time, so that float64 numbers stay in the processor's cache.

    Args:
        weight: as stored, two-dimensional.
        delta: two float64 matrices in the same layout, see `common.methods.method.Method.delta`.
    """
    left, right = delta
    merged, squares = np.empty(weight.shape, np.float32), np.zeros(2)
    size = max(1, _BLOCK // weight.shape[1])
    for start in range(0, len(weight), size):
        rows = slice(start, start + size)
        exact = left[rows] @ right
        exact += weight[rows]
        merged[rows] = exact
        lost = merged[rows] - exact
        squares += np.vdot(lost, lost), np.vdot(exact, exact)
    lost, norm = np.sqrt(squares)
    return merged, float(lost / norm) if norm else 0.0


def merge_problems(edits: Iterable[Edit], shared: frozenset[str], mergeable: Mapping[str, bool]) -> list[str]:
    """Why edits cannot be merged: their weight is ``shared``, or their layer has no merged form."""
    problems = []
    for edit in edits:
        if edit.path in shared:
            problems.append(
                f"{edit.path}: the language-model head shares its weight and would change too. "
                "Keep the adapter apart, or leave it out of the targets"
            )
        elif not mergeable[edit.layer]:
            problems.append(f"{edit.path}: a layer {edit.layer} has no form as a plain weight; keep the adapter apart")
    return problems


def refuse_unmergeable(edits: Iterable[Edit], shared: frozenset[str], mergeable: Mapping[str, bool]) -> None:
    """Raise InputError with every problem that `merge_problems` finds."""
    problems = merge_problems(edits, shared, mergeable)
    if problems:
        raise InputError("These adapters cannot be merged:\n  " + "\n  ".join(problems[:20]) + ".")


def merge_arrays(
    plan: Plan, spec: ModelSpec, trained: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Fold a trained adapter (and trained head and biases) into the base: a plain checkpoint.

    Returns:
        Every parameter of the model by canonical name, and the relative rounding error by adapted module.

    Raises:
        InputError: an adapted weight is shared with the output head, or the method cannot be merged.
    """
    method = METHODS.get(plan.method)
    deltas = {edit.path: method.delta(edit, trained) for edit in plan.edits}
    refuse_unmergeable(plan.edits, spec.shared, {e.layer: deltas[e.path] is not None for e in plan.edits})
    arrays = dict(spec.arrays) | {parameter.name: trained[parameter.name] for parameter in plan.unfrozen}
    errors = {}
    for path, delta in deltas.items():
        name = f"{path}.weight"
        arrays[name], errors[path] = merged_weight(arrays[name], delta)
    return arrays, errors
