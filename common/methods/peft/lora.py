"""LoRA in PEFT's format.

LoRA of some slices of a fused projection has no counterpart in PEFT and is written as LoRA of the whole projection,
exactly: with n slices, A' stacks the slices' A to (n * rank, in), B' (out, n * rank) carries each slice's B in its own
block and zeros elsewhere, and alpha' = n * alpha (sqrt(n) * alpha when rank-stabilised) keeps the scale over the rank
n * rank.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from common.data.sources import portable_name
from common.edits import Edit
from common.errors import InputError
from common.methods.peft.format import PeftFormat, listed_targets, lookup, modules_to_save
from common.methods.peft.plain import NO_TARGETS
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["LoraFormat", "effective", "factor_names", "section", "unsupported"]

# Entries that are represented by the plan, or say which modules and how training went: the keys in the file and the
# plan decide instead.
READ_ENTRIES = {"peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "init_lora_weights"}
OTHER_ENTRIES = {
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save", "bias"),
    *("fan_in_fan_out", "task_type", "base_model_name_or_path", "revision", "inference_mode", "lora_dropout"),
    *("auto_mapping", "peft_version"),
    *("megatron_core", "qalora_group_size"),  # settings of features whose own switch is checked
}
_FACTOR = re.compile(r"(.+)\.(lora_A\.weight|lora_embedding_A)")
PLAIN_INITIALISATIONS = (True, False, "gaussian")  # others start from a changed base model, or a nonzero update


def effective(edit: Edit) -> tuple[int, float]:
    """Rank and alpha of the edit as PEFT sees it."""
    arguments = edit.arguments
    slices = len(arguments.ranges)
    return slices * arguments.rank, arguments.alpha * (math.sqrt(slices) if arguments.rank_stabilized else slices)


class LoraFormat(PeftFormat):
    """``lora_A`` and ``lora_B`` of every edit."""

    layer = "lora"  #: of the backends, whose edits it writes

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """Ranks, scales and targets."""
        ranks = {edit.path: effective(edit)[0] for edit in plan.edits}
        alphas = {edit.path: effective(edit)[1] for edit in plan.edits}
        rank, alpha = (Counter(values.values()).most_common(1)[0][0] if values else 8 for values in (ranks, alphas))
        arguments = plan.edits[0].arguments if plan.edits else None
        bias = getattr(plan.options, "bias", "none")
        optional = {
            "base_model_name_or_path": portable_name(spec.source),
            "rank_pattern": {_exactly(path): value for path, value in ranks.items() if value != rank},
            "alpha_pattern": {_exactly(path): value for path, value in alphas.items() if value != alpha},
            "fan_in_fan_out": any(edit.module.kind.transposed for edit in plan.edits),
            "modules_to_save": modules_to_save(plan, spec),
            "bias": bias if bias != "none" else None,
            "use_rslora": arguments and arguments.rank_stabilized,
            "lora_dropout": arguments and arguments.dropout,
        }
        required = {
            "peft_type": "LORA",
            "task_type": TASKS.get(spec.task).peft_type,
            "r": rank,
            "lora_alpha": alpha,
            "target_modules": listed_targets([edit.path for edit in plan.edits], spec) or NO_TARGETS,
        }
        return required | {key: value for key, value in optional.items() if value}

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """Another rank, scale or start than the plan's, and settings that are not supported."""
        problems = unsupported(config)
        for edit in plan.edits:
            problems += _scale_problems(config, edit)
        return problems

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """A first."""
        rank, _ = effective(edit)
        if edit.module.kind.windowed:
            return _convolution_shapes(edit)
        lookup_table = edit.module.kind.lookup
        names = ("lora_embedding_A", "lora_embedding_B") if lookup_table else ("lora_A.weight", "lora_B.weight")
        return {
            f"{edit.path}.{names[0]}": (rank, edit.module.in_features),
            f"{edit.path}.{names[1]}": (edit.module.out_features, rank),
        }

    def export(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """B of slices is spread over its blocks."""
        down, up = (arrays[parameter.name] for parameter in edit.parameters)
        shapes = self.shapes(edit)
        key_a, key_b = shapes
        if edit.arguments.slices:
            whole = np.zeros(shapes[key_b], np.float32)
            for ours, rows, columns in _blocks(edit):
                whole[rows, columns] = up[ours]
            up = whole
        return {key_a: down.reshape(shapes[key_a]), key_b: up.reshape(shapes[key_b])}

    def restore(self, edit: Edit, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises InputError where the update reaches outside of the plan's slices."""
        down, up = (tensors[key] for key in self.shapes(edit))
        found = (down, _gather_blocks(edit, up))
        return {p.name: array.reshape(p.shape) for p, array in zip(edit.parameters, found, strict=True)}


def unsupported(config: Mapping[str, Any]) -> list[str]:
    """Settings of ``config`` under which it is not plain LoRA."""
    problems = []
    if config.get("peft_type") != "LORA":
        problems.append(f"peft_type must be 'LORA'; received {config.get('peft_type')!r}")
    if config.get("init_lora_weights", True) not in PLAIN_INITIALISATIONS:
        problems.append(
            f"init_lora_weights {config['init_lora_weights']!r} may start from a changed base model; "
            "convert it to plain LoRA with PEFT first"
        )
    known = READ_ENTRIES | OTHER_ENTRIES
    return problems + [
        f"{key} = {value!r} is not supported" for key, value in config.items() if value and key not in known
    ]


def factor_names(keys: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The keys of A and B by module path, of PEFT's keys without their prefix."""
    found = {}
    for key in keys:
        if match := _FACTOR.fullmatch(key):
            found[match[1]] = (key, f"{match[1]}.{match[2].replace('_A', '_B')}")
    return found


def _convolution_shapes(edit: Edit) -> dict[str, tuple[int, ...]]:
    """PEFT's A is a convolution with the kernel and B one with kernel 1, which is the same for kernels of one dimension.

    Raises:
        InputError: PEFT has no such update.
    """
    kernel, rank = edit.module.arguments.kernel, edit.arguments.rank
    if len(kernel) > 1 or edit.module.arguments.groups > 1:
        raise InputError(
            f"LoRA of a convolution has PEFT's form where it has one dimension and one group; {edit.path} has the kernel "
            f"{kernel} and {edit.module.arguments.groups} groups. Leave it out of the targets, or use twinlora.adapt."
        )
    return {
        f"{edit.path}.lora_A.weight": (rank, edit.module.in_features, *kernel),
        f"{edit.path}.lora_B.weight": (edit.module.out_features, rank, 1),
    }


def section(settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """Rank, alpha, targets, bias and scaling of an adapter folder, for the section ``adaptation``; None where it is of
    another type, or adapts nothing.

    Args:
        shapes: of its arrays, by PEFT's keys without their prefix.
    """
    ranks = {match[1]: shape[0] for key, shape in shapes.items() if shape and (match := _FACTOR.fullmatch(key))}
    if settings.get("peft_type") != "LORA" or not ranks:
        return None
    alphas = {path: lookup(settings, "alpha_pattern", path, settings.get("lora_alpha", 8)) for path in ranks}
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    targets = [{"pattern": path, "rank": ranks[path], "alpha": alphas[path]} for path in ranks]
    found = {"rank": rank, "alpha": alpha, "targets": targets, "bias": settings.get("bias") or "none"}
    return found | {"rank_stabilized": bool(settings.get("use_rslora"))}


def _scale_problems(config: Mapping[str, Any], edit: Edit) -> list[str]:
    rank = lookup(config, "rank_pattern", edit.path, config.get("r", 8))
    alpha = lookup(config, "alpha_pattern", edit.path, config.get("lora_alpha", 8))
    if not all(isinstance(value, (int, float)) and value > 0 for value in (rank, alpha)):
        return [f"{edit.path}: rank and alpha must be positive numbers; received {rank!r} and {alpha!r}"]
    scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    planned_rank, planned = effective(edit)[0], edit.arguments.scaling
    if rank != planned_rank or not math.isclose(scaling, planned, rel_tol=1e-6):
        return [
            f"{edit.path}: the adapter has rank {rank} and scale {scaling:g}, "
            f"the plan rank {planned_rank} and scale {planned:g}"
        ]
    return []


def _exactly(path: str) -> str:
    """A PEFT pattern (regular expression, matched at the end of dotted paths) for this one path."""
    return f"^{re.escape(path)}"


def _blocks(edit: Edit) -> list[tuple[slice, slice, slice]]:
    """For each slice: its rows in our B, its rows in PEFT's B', its columns in B'."""
    rank, blocks, row = edit.arguments.rank, [], 0
    for index, (start, stop) in enumerate(edit.arguments.ranges):
        blocks.append((slice(row, row + stop - start), slice(start, stop), slice(index * rank, (index + 1) * rank)))
        row += stop - start
    return blocks


def _gather_blocks(edit: Edit, whole: np.ndarray) -> np.ndarray:
    """Our B (adapted outputs, rank) from PEFT's B' (out, slices * rank)."""
    if not edit.arguments.slices:
        return whole
    blocks = _blocks(edit)
    up = np.concatenate([whole[rows, columns] for _, rows, columns in blocks])
    if np.count_nonzero(whole) != np.count_nonzero(up):
        names = ",".join(name for name, _, _ in edit.arguments.slices)
        rank, alpha = effective(edit)
        raise InputError(
            f"LoRA of slices [{names}] changes only their own outputs; the adapter's update of {edit.path} reaches "
            f"outside them. Target the whole projection instead: {edit.path!r} with rank {rank} and alpha {alpha:g}."
        )
    return up
