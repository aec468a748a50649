"""Adapters on disk in the format of Hugging Face PEFT, readable there and here.

A folder holds ``adapter_model.safetensors`` and ``adapter_config.json``. What PEFT has no field for (the base model's
fingerprint, seed, backend, versions) is one JSON object under ``twinlora`` in the safetensors metadata.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.data.sources import resolve_folder
from common.errors import InputError
from common.files import load_arrays, save_arrays, write_json
from common.methods import METHODS
from common.methods.peft.format import CONFIG_NAME, PREFIX, PeftFormat
from common.methods.peft.own import OwnFormat
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.reading import parse_json, read_json
from common.strict import array_problems, check_arrays
from common.terminal import notice

__all__ = ["FOLDER", "WEIGHTS_NAME", "WHOLE", "load", "other_models", "read_adapter", "save"]

FOLDER = "adapter"  #: in a run directory
WHOLE = False  #: whether it holds the base model too
WEIGHTS_NAME = "adapter_model.safetensors"
_REMEDY = "Get the adapter again from where it came."
_PATTERNS = (None, {...: float})
_RANKS = ({...: [bool]}, *_PATTERNS)  #: of each layer, or which directions it has
_SHAPE = {
    "peft_type?": str | None,
    "r?": float | None,
    "lora_alpha?": float | None,
    "rank_pattern?": _RANKS,
    "alpha_pattern?": _PATTERNS,
    "use_rslora?": bool | None,
    "base_model_name_or_path?": str | None,
    "target_modules?": (None, str, [str]),
    "modules_to_save?": (None, str, [str]),
    "init_r?": float | None,
    "target_r?": float | None,
    "options?": (None, dict),
}


def _format(plan: Plan) -> PeftFormat:
    return METHODS.get(plan.method).peft or OwnFormat()


def save(
    folder: Path,
    plan: Plan,
    spec: ModelSpec,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the trained ``arrays``, named and shaped as in ``plan.shapes()``, as float32. Equal arguments give
    byte-equal files.

    Raises:
        InputError: the plan's result is no adapter, or the arrays are not exactly those of the plan, or not finite.
    """
    if plan.artifact != FOLDER:
        raise InputError(
            f"An adapter folder holds adapters, heads and biases; the result of method {plan.method} is saved as a "
            f"{plan.artifact} instead."
        )
    check_arrays(plan.shapes(), arrays)
    form = _format(plan).writing(plan, arrays)
    tensors = {form.stored(form.trained_key(p.name, plan)): arrays[p.name] for p in plan.unfrozen}
    tensors |= {form.stored(output): arrays[name] for name, output in _shared(plan, spec).items()}
    for edit in plan.edits:
        tensors |= {form.stored(key): array for key, array in form.export(edit, arrays).items()}
    tensors |= form.constants(plan) if form.writes_constants(plan) else {}
    extras = dict(sorted({**(metadata or {}), "base_fingerprint": spec.fingerprint}.items()))
    floats = {name: np.asarray(array, np.float32) for name, array in tensors.items()}
    save_arrays(Path(folder) / WEIGHTS_NAME, floats, {"twinlora": json.dumps(extras)})
    write_json(Path(folder) / CONFIG_NAME, form.config(plan, spec))


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, str]]:
    """Read any PEFT adapter as it stands: (configuration, arrays by PEFT's keys, our metadata or {}).

    Raises:
        InputError: a file is missing or unreadable.
    """
    path, weights = Path(folder) / CONFIG_NAME, Path(folder) / WEIGHTS_NAME
    if not os.path.isfile(path):
        raise InputError(
            f"An adapter folder holds {CONFIG_NAME} and {WEIGHTS_NAME}; {folder} has no {CONFIG_NAME}. "
            "Give the folder itself."
        )
    config = read_json(path, "the configuration of an adapter", _REMEDY, _SHAPE)
    pickled = Path(folder) / "adapter_model.bin"
    if os.path.isfile(pickled) and not os.path.isfile(weights):
        raise InputError(
            f"Adapters must be safetensors; {folder} holds only {pickled.name} (a pickle, which can run code when loaded). "
            "Where you trust it, load it with PEFT and write it again: model.save_pretrained(folder)."
        )
    arrays, metadata = load_arrays(weights)
    what = f"{weights}, its metadata 'twinlora'"
    extras = parse_json(metadata.get("twinlora", "{}"), what, "what twinlora knows of an adapter", _REMEDY, {...: str})
    return config, arrays, extras


def load(folder: Path, plan: Plan, spec: ModelSpec) -> dict[str, np.ndarray]:
    """Inverse of ``save``; also reads adapters made by PEFT. Returns float32 arrays named and shaped as in
    ``plan.shapes()``.

    Raises:
        InputError: every missing, unexpected, wrongly shaped array, every other scale, and every setting of PEFT's
            that would change the mathematics, listed together; or an update outside the plan's slices.
    """
    config, held, extras = read_adapter(folder)
    form = _format(plan).reading(config, plan)
    shared = {form.stored(name): form.stored(output) for name, output in _shared(plan, spec).items()}
    expected = {form.stored(form.trained_key(p.name, plan)): p.shape for p in plan.unfrozen}
    for edit in plan.edits:
        expected |= {form.stored(key): shape for key, shape in form.shapes(edit).items()}
    repeated = {key for key in held if _is_copy(key, held, spec) or (key not in expected and _is_base(key, held, spec))}
    tensors = {key: array for key, array in held.items() if key not in repeated and key not in shared.values()}
    constants = {key: tensors.pop(key) for key in form.constants(plan) if key in tensors}
    problems = form.problems(config, plan) + form.constant_problems(config, plan, constants)
    fingerprint = extras.get("base_fingerprint", "")
    if fingerprint and spec.fingerprint and fingerprint != spec.fingerprint:
        problems.append(
            f"it was trained on another base model: fingerprint {fingerprint[:16]}, "
            f"the model at hand has {spec.fingerprint[:16]}"
        )
    if not fingerprint:
        problems += _compare_names(folder, config.get("base_model_name_or_path"), spec.source)
    problems += array_problems(expected, tensors)
    problems += [
        f"{output} must be there and equal {name}, with which it is one weight here; it is not"
        for name, output in shared.items()
        if name in held and (output not in held or not np.array_equal(held[output], held[name]))
    ]
    if problems:
        listed = "\n  ".join(problems)
        raise InputError(
            f"The plan and the adapter in {folder} must agree; they differ in:\n  {listed}\n"
            "Use the configuration that the adapter was trained with."
        )
    tensors = {key: np.asarray(array, np.float32) for key, array in tensors.items()}
    arrays = {p.name: tensors[form.stored(form.trained_key(p.name, plan))] for p in plan.unfrozen}
    for edit in plan.edits:
        arrays |= form.restore(edit, {key: tensors[form.stored(key)] for key in form.shapes(edit)})
    return {name: arrays[name] for name in plan.shapes()}


def _compare_names(folder: Path, written: Any, source: str | None) -> list[str]:
    """The base models of a file without a fingerprint by their names: two of the hub must be the same; where one is a
    folder only the person who has it knows, so it is said."""
    if other_models(written, source):
        return [f"it was trained on the base model {written}, the model at hand is {source}"]
    notice(
        f"The adapter in {folder} has no fingerprint of its base model, so that names alone can be compared: it was "
        f"trained on {written or 'a model without a name'}, and is loaded into {source or 'a model without a source'}."
    )
    return []


def other_models(first: Any, second: Any) -> bool:
    """Whether both are names of the hub, of two models."""
    hub = [name for name in (first, second) if isinstance(name, str) and name and _is_hub_id(name)]
    return len(hub) == 2 and hub[0].casefold() != hub[1].casefold()


def _is_hub_id(name: str) -> bool:
    try:
        return resolve_folder(name) is None
    except InputError:  # a path of another machine
        return False


def _shared(plan: Plan, spec: ModelSpec) -> dict[str, str]:
    """Trained weights that an output shares, to the name of that output's weight: PEFT copies both modules, and would
    compute the output with the base model's weight if it were not told."""
    trained = {parameter.name for parameter in plan.unfrozen}
    tied = {f"{module.tied_to}.weight": f"{module.path}.weight" for module in spec.modules if module.tied_to}
    return {name: output for name, output in tied.items() if name in trained}


def _is_base(key: str, tensors: Mapping[str, np.ndarray], spec: ModelSpec) -> bool:
    """Whether ``key`` repeats a parameter of the base model: PEFT writes the output layer of a language model where
    that, or the table of words, is adapted."""
    name = key.removeprefix(PREFIX).replace(".base_layer.", ".")
    return name in spec.arrays and np.array_equal(spec.arrays[name], np.asarray(tensors[key], np.float32))


def _is_copy(key: str, tensors: Mapping[str, np.ndarray], spec: ModelSpec) -> bool:
    """Whether ``key`` repeats a head's bias: with bias "all" PEFT saves those of its wrapper's two inner modules
    besides the plain one, and that of a tied output under both of its names."""
    plain = (key.replace(".original_module.", "."), key.replace(".modules_to_save.", "."))
    named = re.sub(r"\.modules_to_save\.[^.]+\.", ".", key)  # a head of several modules keeps the adapter's name
    if any(found != key and found in tensors for found in (*plain, named)):
        return True
    layout = spec.layout
    if layout is None or not layout.added or key != f"{PREFIX}{layout.output}.bias":
        return False
    other = tensors.get(f"{PREFIX}{layout.added}.bias")
    return other is not None and np.array_equal(other, tensors[key])
