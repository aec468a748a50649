"""Adapters on disk in the format of Hugging Face PEFT, readable there and here.

A folder holds ``adapter_model.safetensors`` and ``adapter_config.json``. LoRA of some slices of a fused projection has no counterpart in PEFT and is
written as LoRA of the whole projection, exactly: with n slices, A' stacks the slices' A to (n * rank, in), B' (out, n * rank) carries each slice's B in
its own block and zeros elsewhere, and alpha' = n * alpha (sqrt(n) * alpha when rank-stabilised) keeps the scale over the rank n * rank.
What PEFT has no field for (the base model's fingerprint, seed, backend, versions) is one JSON object under ``twinlora`` in the safetensors metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.adaptation.peft_config import CONFIG_NAME, config_problems, effective, peft_config
from common.adaptation.plan import Plan, PlanStep
from common.errors import InputError
from common.files import load_arrays, save_arrays, write_json
from common.models.specs import ModelSpec
from common.strict import array_problems, check_arrays

__all__ = ["WEIGHTS_NAME", "load_adapter", "read_adapter", "save_adapter"]

WEIGHTS_NAME = "adapter_model.safetensors"
PREFIX = "base_model.model."


def save_adapter(
    folder: Path,
    plan: Plan,
    spec: ModelSpec,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the trained ``arrays``, named and shaped as in ``plan.shapes()``, as float32. Equal arguments give byte-equal files.

    Raises:
        InputError: the plan trains the whole model, or the arrays are not exactly those of the plan, or not finite.
    """
    if plan.method == "full":
        raise InputError(
            "An adapter folder holds LoRA factors, heads and biases; a fully fine-tuned model is saved as a Hugging Face checkpoint instead."
        )
    check_arrays(plan.shapes(), arrays)
    wrapped = {step.path for step in plan.steps}
    tensors = {_trained_key(name, wrapped): arrays[name] for name in plan.trained}
    for step in plan.steps:
        tensors |= _export(step, *(arrays[name] for name in step.shapes()))
    extras = dict(sorted({**(metadata or {}), "base_fingerprint": spec.fingerprint}.items()))
    folder = Path(folder)
    save_arrays(
        folder / WEIGHTS_NAME,
        {name: np.asarray(array, np.float32) for name, array in tensors.items()},
        {"twinlora": json.dumps(extras)},
    )
    write_json(folder / CONFIG_NAME, peft_config(plan, spec))


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, str]]:
    """Read any PEFT adapter as it stands: (configuration, arrays by PEFT's keys, our metadata or {}).

    Raises:
        InputError: a file is missing or unreadable.
    """
    path = Path(folder) / CONFIG_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"An adapter folder holds {CONFIG_NAME} and {WEIGHTS_NAME}; {folder} has no {CONFIG_NAME}. Give the folder itself."
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be a JSON object; it cannot be read: {error}.") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} must be a JSON object; it holds a {type(config).__name__}.")
    arrays, metadata = load_arrays(Path(folder) / WEIGHTS_NAME)
    try:
        extras = json.loads(metadata.get("twinlora", "{}"))
    except ValueError as error:
        raise InputError(
            f"The metadata entry 'twinlora' of {Path(folder) / WEIGHTS_NAME} must be JSON: {error}."
        ) from error
    return config, arrays, extras


def load_adapter(folder: Path, plan: Plan, spec: ModelSpec) -> dict[str, np.ndarray]:
    """Inverse of ``save_adapter``; also reads adapters made by PEFT. Returns float32 arrays named and shaped as in ``plan.shapes()``.

    Raises:
        InputError: every missing, unexpected, wrongly shaped array, every other scale, and every setting of PEFT's that would change
            the mathematics, listed together; or an update outside the plan's slices.
    """
    config, tensors, extras = read_adapter(folder)
    wrapped = {step.path for step in plan.steps}
    tensors = {key: array for key, array in tensors.items() if not _is_copy(key, tensors)}
    expected = {_trained_key(name, wrapped): shape for name, shape in plan.trained.items()}
    for step in plan.steps:
        expected |= _shapes(step)
    problems = config_problems(config, plan)
    fingerprint = extras.get("base_fingerprint", "")
    if fingerprint and spec.fingerprint and fingerprint != spec.fingerprint:
        problems.append(
            f"it was trained on another base model: fingerprint {fingerprint[:16]}, the model at hand has {spec.fingerprint[:16]}"
        )
    problems += array_problems(expected, tensors)
    if problems:
        listed = "\n  ".join(problems)
        raise InputError(
            f"The plan and the adapter in {folder} must agree; they differ in:\n  {listed}\nUse the configuration that the adapter was trained with."
        )
    tensors = {key: np.asarray(array, np.float32) for key, array in tensors.items()}
    arrays = {name: tensors[_trained_key(name, wrapped)] for name in plan.trained}
    for step in plan.steps:
        down, up = (tensors[key] for key in _shapes(step))
        arrays |= dict(zip(step.shapes(), (down, _gather_blocks(step, up)), strict=True))
    return {name: arrays[name] for name in plan.shapes()}


def _trained_key(name: str, wrapped: set[str]) -> str:
    """PEFT's key of a base parameter; inside a wrapped module the parameter moved to ``base_layer``."""
    path, leaf = name.rsplit(".", 1)
    return f"{PREFIX}{path}.base_layer.{leaf}" if path in wrapped else f"{PREFIX}{name}"


def _is_copy(key: str, tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether ``key`` repeats a head's bias: with bias "all" PEFT saves those of its wrapper's two inner modules besides the plain one."""
    plain = key.replace(".modules_to_save.", ".").replace(".original_module.", ".")
    return plain != key and plain in tensors


def _shapes(step: PlanStep) -> dict[str, tuple[int, ...]]:
    """PEFT's keys and shapes of the step, A first."""
    rank, _ = effective(step)
    names = ("lora_embedding_A", "lora_embedding_B") if step.kind == "embedding" else ("lora_A.weight", "lora_B.weight")
    return {
        f"{PREFIX}{step.path}.{names[0]}": (rank, step.in_features),
        f"{PREFIX}{step.path}.{names[1]}": (step.out_features, rank),
    }


def _blocks(step: PlanStep) -> list[tuple[slice, slice, slice]]:
    """For each slice: its rows in our B, its rows in PEFT's B', its columns in B'."""
    rank, blocks, row = step.arguments.rank, [], 0
    for index, (start, stop) in enumerate(step.ranges):
        blocks.append((slice(row, row + stop - start), slice(start, stop), slice(index * rank, (index + 1) * rank)))
        row += stop - start
    return blocks


def _export(step: PlanStep, down: np.ndarray, up: np.ndarray) -> dict[str, np.ndarray]:
    """The step's A and B under PEFT's keys."""
    key_a, key_b = _shapes(step)
    if step.arguments.slices:
        whole = np.zeros(_shapes(step)[key_b], np.float32)
        for ours, rows, columns in _blocks(step):
            whole[rows, columns] = up[ours]
        up = whole
    return {key_a: down, key_b: up}


def _gather_blocks(step: PlanStep, whole: np.ndarray) -> np.ndarray:
    """Our B (adapted outputs, rank) from PEFT's B' (out, slices * rank)."""
    if not step.arguments.slices:
        return whole
    blocks = _blocks(step)
    up = np.concatenate([whole[rows, columns] for _, rows, columns in blocks])
    if np.count_nonzero(whole) != np.count_nonzero(up):
        names = ",".join(name for name, _, _ in step.arguments.slices)
        raise InputError(
            f"LoRA of slices [{names}] changes only their own outputs; the adapter's update of {step.path} reaches outside them. "
            f"Target the whole projection instead: {step.path!r} with rank {effective(step)[0]} and alpha {effective(step)[1]:g}."
        )
    return up
