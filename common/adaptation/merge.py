"""Merging adapters into base weights, in NumPy: the one place where the merged weight is computed, for layers and for checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from common.adaptation.plan import Plan, PlanStep
from common.errors import InputError
from common.models.specs import ModelSpec

__all__ = ["factors", "merge_arrays", "merged_weight", "placed_b", "placement", "refuse_shared"]

_BLOCK = 2**16  #: elements of a weight that are merged at once, 512 KiB in float64


def placement(step: PlanStep) -> tuple[np.ndarray, np.ndarray]:
    """How B is spread over a fused output: P(B) = tile(B[rows], slices) * mask, ``(out, slices * rank)``.

    Returns:
        rows: int32 ``(out,)``, the row of B for each output feature (any row where the feature is not adapted).
        mask: float32 ``(out, slices * rank)``, 1 where the feature's slice owns the column, 0 elsewhere.
    """
    rank = step.arguments.rank
    rows = np.zeros(step.out_features, np.int32)
    mask = np.zeros((step.out_features, len(step.ranges) * rank), np.float32)
    row = 0
    for index, (start, stop) in enumerate(step.ranges):
        rows[start:stop] = np.arange(row, row + stop - start)
        mask[start:stop, index * rank : (index + 1) * rank] = 1.0
        row += stop - start
    return rows, mask


def placed_b(step: PlanStep, b: np.ndarray) -> np.ndarray:
    """P(B): (adapted outputs, rank) to (out, slices * rank)."""
    rows, mask = placement(step)
    return np.tile(b[rows], (1, len(step.ranges))) * mask.astype(b.dtype)


def factors(step: PlanStep, adapter: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Two float64 matrices whose product is the update scaling * B A in the layout of the module's stored weight."""
    scaling = step.arguments.scaling
    if step.kind == "embedding":
        a, b = (adapter[f"{step.path}.lora_embedding_{name}"].astype(np.float64) for name in "AB")
        return scaling * a.T, b.T  # (rows, rank) (rank, width)
    a, b = (adapter[f"{step.path}.lora_{name}"].astype(np.float64) for name in "AB")
    b = placed_b(step, b)
    return (
        (scaling * a.T, b.T) if step.kind == "conv1d" else (scaling * b, a)
    )  # (in, rank) (rank, out), or (out, rank) (rank, in)


def merged_weight(step: PlanStep, weight: np.ndarray, adapter: Mapping[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the merged weight, float32 rounded once from float64, and the relative error of that rounding (Frobenius norm).

    Some rows at a time, so that float64 numbers stay in the processor's cache.
    """
    left, right = factors(step, adapter)
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


def refuse_shared(paths: Iterable[str], shared: frozenset[str]) -> None:
    """Raise InputError when one of the adapted ``paths`` is among the modules whose weight is ``shared``: merging would change the other holder too."""
    for path in paths:
        if path in shared:
            raise InputError(
                f"An adapter on {path} cannot be merged: the language-model head shares its weight and would change too. "
                "Keep the adapter apart, or leave it out of the targets."
            )


def merge_arrays(
    plan: Plan, spec: ModelSpec, trained: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Fold a trained adapter (and trained head and biases) into the base: a plain checkpoint.

    Returns:
        Every parameter of the model by canonical name, and the relative rounding error by adapted module.

    Raises:
        InputError: an adapted embedding is tied to the output head, where merging would change the head as well.
    """
    arrays = dict(spec.arrays) | {name: trained[name] for name in plan.trained}
    errors = {}
    refuse_shared((step.path for step in plan.steps), spec.shared)
    for step in plan.steps:
        name = f"{step.path}.weight"
        arrays[name], errors[step.path] = merged_weight(step, arrays[name], trained)
    return arrays, errors
