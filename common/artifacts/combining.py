"""Adapter folders of LoRA, in PEFT's format, combined into one."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from common.artifacts.adapter import FOLDER, WEIGHTS_NAME, other_models, read_adapter
from common.errors import InputError
from common.files import new_folder, refuse_existing, save_arrays, write_json
from common.methods.combining import Combination, Factors, combine
from common.methods.peft.format import CONFIG_NAME, PREFIX, lookup
from common.methods.peft.lora import factor_names, unsupported

__all__ = ["Folder", "combine_folders", "read_folder"]

_INNER = ".base_layer."  #: in the keys of what PEFT trains inside a module that it wraps
_SAME = ("task_type", "fan_in_fan_out", "modules_to_save", "base_model_name_or_path", "revision")


@dataclass(frozen=True)
class Folder:
    """One adapter folder."""

    path: Path
    settings: Mapping[str, Any]
    factors: Mapping[str, Factors]  #: by module path
    others: Mapping[str, np.ndarray]  #: heads, biases: what is trained besides, by the file's keys without ``_INNER``
    lookups: frozenset[str]  #: modules that are embeddings
    fingerprint: str  #: of the base model; empty where the file has none


def read_folder(folder: Path) -> Folder:
    """A folder of LoRA, or a run directory with one.

    Raises:
        InputError: it is of another method, or has settings under which it is no plain sum.
    """
    inside = Path(folder) / FOLDER
    path = inside if os.path.isfile(inside / CONFIG_NAME) else Path(folder)
    settings, arrays, extras = read_adapter(path)
    if problems := unsupported(settings):
        raise InputError(
            f"Adapters that are combined must be plain LoRA; {path} is not:\n  " + "\n  ".join(problems) + "."
        )
    if broken := _not_finite(arrays):
        raise InputError(f"Adapters that are combined hold finite numbers; {broken} of {path} holds NaN or infinity.")
    names = factor_names(key.removeprefix(PREFIX) for key in arrays)
    if not names:
        raise InputError(f"Adapters that are combined must be LoRA of some module; {path} adapts none.")
    factors, lookups = {}, set()
    for module, (first, second) in names.items():
        try:
            a, b = arrays[PREFIX + first], arrays[PREFIX + second]
        except KeyError as error:
            raise InputError(f"LoRA has two factors a module; {path} lacks {error.args[0]}. Get it again.") from error
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
            raise InputError(
                f"Adapters that are combined have matrices of one rank for a module; {path} has the shapes {a.shape} and "
                f"{b.shape} for {module}. Leave convolutions out of the targets."
            )
        rank = lookup(settings, "rank_pattern", module, settings.get("r", 8))
        alpha = lookup(settings, "alpha_pattern", module, settings.get("lora_alpha", 8))
        if rank != len(a) or not rank or not isinstance(alpha, int | float):
            raise InputError(
                f"The scale of an update is alpha by its rank; {path} says rank {rank} and alpha {alpha} for {module}, "
                f"whose matrices have rank {len(a)}. Get it again from where it came."
            )
        scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
        factors[module] = Factors(a, b, scale)
        if "embedding" in first.rpartition(".")[2]:
            lookups.add(module)
    used = {PREFIX + name for pair in names.values() for name in pair}
    others = {key.replace(_INNER, "."): array for key, array in arrays.items() if key not in used}
    return Folder(path, settings, factors, others, frozenset(lookups), extras.get("base_fingerprint", ""))


def combine_folders(
    folders: Sequence[Path], out: Path, combination: Combination, head: int | None = None
) -> dict[str, int]:
    """Write the combination as an adapter folder, which PEFT and twinlora open.

    Args:
        head: number, from 1, of the adapter whose other trained arrays (head, biases) are kept; by default they must be
            the same in all.

    Returns:
        The new adapter's rank by module path.

    Raises:
        InputError: the folders do not fit together, or the settings do not fit them; nothing was written.
    """
    refuse_existing(out)
    if len(folders) < 2:
        raise InputError(f"Two or more adapters are combined; received {len(folders)}.")
    combination.check(len(folders))
    if head is not None and not 1 <= head <= len(folders):
        raise InputError(f"head must be the number of an adapter, 1 to {len(folders)}; received {head}.")
    read = [read_folder(folder) for folder in folders]
    _check_bases(read)
    others = _others(read, head)
    paths = dict.fromkeys(path for folder in read for path in folder.factors)
    found = {
        path: combine(path, {n: f.factors[path] for n, f in enumerate(read) if path in f.factors}, combination)
        for path in paths
    }
    lookups = {path for folder in read for path in folder.lookups}
    arrays = {_inside(key, found): array for key, array in others.items()}
    for path, factors in found.items():
        names = ("lora_embedding_A", "lora_embedding_B") if path in lookups else ("lora_A.weight", "lora_B.weight")
        arrays |= {f"{PREFIX}{path}.{names[0]}": factors.a, f"{PREFIX}{path}.{names[1]}": factors.b}
    ranks = {path: len(factors.a) for path, factors in found.items()}
    extras = (
        {"base_fingerprint": fingerprint}
        if (fingerprint := next((f.fingerprint for f in read if f.fingerprint), ""))
        else {}
    )
    floats = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    if broken := _not_finite(floats):
        weights = ", ".join(map(str, combination.weights))
        raise InputError(
            f"The combination must fit into float32; with the weights {weights} it exceeds it in {broken}."
        )
    with new_folder(out) as folder:
        save_arrays(Path(folder) / WEIGHTS_NAME, floats, {"twinlora": json.dumps(extras)})
        write_json(Path(folder) / CONFIG_NAME, _settings(read[(head or 1) - 1].settings, ranks))
    return ranks


def _not_finite(arrays: Mapping[str, np.ndarray]) -> str | None:
    """The first array with a number that is none."""
    return next((key for key, array in arrays.items() if not np.isfinite(array).all()), None)


def _inside(key: str, wrapped: Container[str]) -> str:
    """The key of a bias, say, under which PEFT looks for it where its module has an update: also of another adapter."""
    path, _, leaf = key.removeprefix(PREFIX).rpartition(".")
    return f"{PREFIX}{path}{_INNER}{leaf}" if path in wrapped else key


def _settings(given: Mapping[str, Any], ranks: Mapping[str, int]) -> dict[str, Any]:
    """With alpha = rank the scale is 1 in every module. Targets are one regular expression, since PEFT would find a list
    at the end of other paths too."""
    rank = Counter(ranks.values()).most_common(1)[0][0]
    pattern = {f"^{re.escape(path)}": value for path, value in ranks.items() if value != rank}
    targets = "|".join(map(re.escape, ranks))
    required = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": targets}
    patterns = {"rank_pattern": pattern, "alpha_pattern": pattern} if pattern else {}
    kept = {key: given[key] for key in (*_SAME, "bias") if given.get(key)}
    return {**required, **patterns, **kept}


def _check_bases(read: Sequence[Folder]) -> None:
    """They must be of one base model, as far as the files tell."""
    problems: list[str] = []
    for first, other in combinations(read, 2):
        if first.fingerprint and other.fingerprint and first.fingerprint != other.fingerprint:
            problems.append(f"{other.path} was trained on another base model than {first.path}")
        if not (first.fingerprint and other.fingerprint):
            names = [folder.settings.get("base_model_name_or_path") for folder in (first, other)]
            if other_models(*names):
                problems.append(f"{first.path} was trained on {names[0]} and {other.path} on {names[1]}")
        problems += [
            f"{key} is {first.settings.get(key)!r} in {first.path} and {other.settings.get(key)!r} in {other.path}"
            for key in ("task_type", "bias")
            if (first.settings.get(key) or "none") != (other.settings.get(key) or "none")
        ]
        for path in first.factors.keys() & other.factors.keys():
            sizes = [(f.factors[path].b.shape[0], f.factors[path].a.shape[1]) for f in (first, other)]
            if sizes[0] != sizes[1]:
                problems.append(f"{path} is of size {sizes[0]} in {first.path} and {sizes[1]} in {other.path}")
    if problems:
        raise InputError(
            "Adapters that are combined belong to one base model; these do not:\n  " + "\n  ".join(problems) + "."
        )


def _others(read: Sequence[Folder], head: int | None) -> Mapping[str, np.ndarray]:
    """What is kept of the arrays that are no updates."""
    if head is not None:
        return read[head - 1].others
    first = read[0].others
    for other in read[1:]:
        same = set(first) == set(other.others) and all(np.array_equal(first[key], other.others[key]) for key in first)
        if not same:
            names = ", ".join(sorted({*first, *other.others})[:3])
            raise InputError(
                f"Heads and other arrays that are trained whole are not combined; those of {read[0].path} and {other.path} "
                f"differ: {names}. Say whose are kept: --head 1, --head 2, ..."
            )
    return first
