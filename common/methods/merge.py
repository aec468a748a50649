"""Merging edits into base weights, in NumPy: the one place where the merged weight is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.methods import METHODS
from common.methods.plan import Plan
from common.models.layers import LAYERS
from common.models.specs import ModelSpec
from common.models.structure import restructured

__all__ = [
    "merge_problems",
    "merge_remarks",
    "merged_in_place",
    "merged_model",
    "merged_weight",
    "refuse_lost",
    "refuse_unmergeable",
    "rounded",
]

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


def rounded(exact: np.ndarray) -> tuple[np.ndarray, float]:
    """Float32 of a float64 array, and the relative error of that rounding (Frobenius)."""
    found = exact.astype(np.float32)
    norm = np.linalg.norm(exact)
    return found, float(np.linalg.norm(found - exact) / norm) if norm else 0.0


def merge_problems(
    edits: Iterable[Edit], shared: frozenset[str], mergeable: bool, in_memory: bool = False
) -> list[str]:
    """Why edits cannot be merged: their weight is ``shared``, or their layer has no merged form.

    Args:
        mergeable: whether the method of the edits is.
        in_memory: into the weight of a network that exists, where a layer in the module's place cannot grow.
    """
    problems = []
    for edit in edits:
        if edit.mode == "prepend":
            problems.append(
                f"{edit.path}: virtual tokens before a sequence are no change of a weight; keep the adapter apart"
            )
        elif edit.path in shared:
            problems.append(
                f"{edit.path}: an output layer, or another module, shares its weight and would change too. "
                "Keep the adapter apart, or leave it out of the targets"
            )
        elif not mergeable:
            problems.append(f"{edit.path}: a layer {edit.layer} has no form as a plain weight; keep the adapter apart")
        elif in_memory and edit.module.kind.weight(edit.module) is None:
            problems.append(
                f"{edit.path}: a {edit.module.kind.name} module has no single weight to merge into; "
                "twinlora merge writes the merged model to a folder"
            )
    return problems


def merge_remarks(plan: Plan, spec: ModelSpec) -> list[str]:
    """What to say before a training of adapters that cannot be merged after it: those of a weight that the head
    shares."""
    problems = merge_problems(plan.edits, spec.shared, True)
    return [f"an adapter of this plan cannot be merged: {problem}." for problem in problems]


def refuse_lost(plan: Plan, spec: ModelSpec) -> None:
    """Raise InputError where an adapter could be used nowhere but in its run: where two networks are trained together
    and the adapted weight is shared, no checkpoint of either can take it in, and PEFT does not know the second one."""
    lost = [] if spec.companion is None else [edit.path for edit in plan.edits if edit.path in spec.shared]
    if lost:
        raise InputError(
            f"An adapter of {lost[0]} could not be merged: an output layer shares its weight, and neither the network "
            f"nor its {spec.companion.name if spec.companion else ''} can be stored with it. Leave it out of "
            "adaptation.targets: "
            f'exclude: ["{lost[0]}"].'
        )


def merged_in_place(layers: Mapping[str, Any], shared: frozenset[str]) -> dict[str, float]:
    """Merge the layers of a network, all or none; returns the relative rounding error by module path.

    Args:
        layers: a backend's wrapping layers by module path.
        shared: paths whose weight another module uses too.

    Raises:
        InputError: as `refuse_unmergeable`, or a layer is merged already.
    """
    mergeable = all(layer.method.mergeable for layer in layers.values())
    refuse_unmergeable((layer.edit for layer in layers.values()), shared, mergeable, in_memory=True)
    newly = [layer for layer in layers.values() if not layer.merged]
    try:
        return {path: layer.merge() for path, layer in layers.items()}
    except BaseException:
        for layer in newly:
            layer.unmerge()
        raise


def refuse_unmergeable(edits: Iterable[Edit], shared: frozenset[str], mergeable: bool, in_memory: bool = False) -> None:
    """Raise InputError with every problem that `merge_problems` finds."""
    problems = merge_problems(edits, shared, mergeable, in_memory)
    if problems:
        raise InputError("These adapters cannot be merged:\n  " + "\n  ".join(problems[:20]) + ".")


def merged_model(
    plan: Plan, spec: ModelSpec, trained: Mapping[str, np.ndarray], dense: bool = False
) -> tuple[ModelSpec, dict[str, float]]:
    """Fold a trained adapter (and trained head and biases) into the base model.

    Edits of plain modules are folded into their parameters (`common.methods.method.Method.fold`), or leave a layer in
    their place (`Method.layer_after`). A layer in the place of a module takes its update in by itself, see
    `common.models.layers.layer.Layer.absorb`; the model keeps that layer. One whose weight is frozen is multiplied out.

    Args:
        dense: multiply out the adapted layers that cannot take an update in, and add it to their weight.

    Returns:
        The merged model, and the relative rounding error by adapted module with a plain weight.

    Raises:
        InputError: an adapted weight is shared with the output head, or the method or a layer cannot be merged.
    """
    method = METHODS.get(plan.method)
    refuse_unmergeable(plan.edits, spec.shared, method.mergeable or method.folds_into_layers)
    arrays = dict(spec.arrays) | {parameter.name: trained[parameter.name] for parameter in plan.unfrozen}
    structural = {edit.path: edit for edit in spec.edits}  # the last one of every path
    before = [edit for edit in spec.edits if structural[edit.path] is not edit]
    errors = {}
    for edit in plan.edits:
        path = edit.path
        held = path in structural and edit.module.kind.weight(edit.module) is None  # by a layer without a plain weight
        left = None if held else method.layer_after(edit, arrays, trained)
        if left is not None:
            before += [structural[path]] if path in structural else []
            structural[path], found = left
            del arrays[f"{path}.weight"]
            arrays |= found
        elif held:
            delta = method.delta(edit, trained)
            after = _absorbed(structural[path], arrays, delta)
            if after is not None:
                structural[path] = after
            elif delta is not None and (dense or LAYERS.get(structural[path].layer).frozen):
                errors[path] = _multiplied_out(structural.pop(path), arrays, delta)
            else:
                raise _no_update(edit, structural[path], delta is not None)
        else:
            names = {leaf: f"{path}.{leaf}" for leaf in ("weight", "bias") if f"{path}.{leaf}" in arrays}
            base = {leaf: arrays[name] for leaf, name in names.items()}
            folded, errors[path] = method.fold(edit, base, trained)
            arrays |= {names[leaf]: array for leaf, array in folded.items()}
    return restructured(spec, (*before, *structural.values()), arrays), errors


Delta = tuple[np.ndarray, np.ndarray]


def _absorbed(edit: Edit, arrays: dict[str, np.ndarray], delta: Delta | None) -> Edit | None:
    """The structural edit with the update, whose parameters are replaced in ``arrays``; None where its layer cannot
    take one in."""
    layer = LAYERS.get(edit.layer)
    found = None if delta is None else layer.absorb(edit, arrays, delta)
    if found is None:
        return None
    arguments, changed = found
    arrays |= changed
    return layer.edit(edit.module, arguments)


def _multiplied_out(edit: Edit, arrays: dict[str, np.ndarray], delta: Delta) -> float:
    """Put the layer's weight with the update in the place of its parameters; returns the relative rounding error."""
    update = delta[0] @ delta[1]
    exact = LAYERS.get(edit.layer).dense(edit, arrays) + (update.T if edit.module.kind.transposed else update)
    for name in edit.shapes().keys() - edit.module.shapes().keys():
        del arrays[name]
    arrays[f"{edit.path}.weight"], error = rounded(exact)
    return error


def _no_update(edit: Edit, structural: Edit, low_rank: bool) -> InputError:
    advice = "Merge with --dense, which multiplies the layer out, or keep" if low_rank else "Keep"
    return InputError(
        f"A layer {structural.layer} cannot take in an update of its weight, so the adapter of {edit.path} cannot be "
        f"merged into it. {advice} the adapter apart."
    )
