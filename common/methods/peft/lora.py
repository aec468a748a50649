"""LoRA in PEFT's format.

LoRA of some slices of a fused projection has no counterpart in PEFT and is written as LoRA of the whole projection,
exactly: with n slices, A' stacks the slices' A to (n * rank, in), B' (out, n * rank) carries each slice's B in its own
block and zeros elsewhere, and alpha' = n * alpha (sqrt(n) * alpha when rank-stabilised) keeps the scale over the rank
n * rank.

LoRA that starts from the weight is written for the original base model, as LoRA of twice the rank and alpha: A' stacks A
and A0, and B' is B beside -B0. PEFT writes A and B alone, says so in ``init_lora_weights`` and computes A0 and B0 again
when it loads them; that is read too.
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
from common.methods.lora import placed_b
from common.methods.peft.format import PeftFormat, listed_targets, lookup, modules_to_save
from common.methods.peft.plain import NO_TARGETS
from common.methods.plan import Plan
from common.methods.starts import FROM_WEIGHT
from common.models.modules import slice_features
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
_EITHER = re.compile(r"(.+\.lora_(?:embedding_)?)[AB](|\.weight)")
_SAME_START = 1e-5  #: relative difference of two starts that are one: factors are rounded to float32
PLAIN_INITIALISATIONS = (True, False, "gaussian")  # others start from a changed base model, or a nonzero update


def effective(edit: Edit, converted: bool = True) -> tuple[int, float]:
    """Rank and alpha of the edit as PEFT sees it.

    Args:
        converted: with the start that is taken off.
    """
    arguments = edit.arguments
    parts = len(arguments.parts) * (2 if converted and arguments.start is not None else 1)
    return parts * arguments.rank, arguments.alpha * (math.sqrt(parts) if arguments.rank_stabilized else parts)


class LoraFormat(PeftFormat):
    """``lora_A`` and ``lora_B`` of every edit.

    Args:
        converted: they hold the start that is taken off as well, where there is one.
    """

    def __init__(self, converted: bool = True):
        self.converted = converted

    def reading(self, config: Mapping[str, Any], plan: Plan) -> LoraFormat:
        """As the file's ``init_lora_weights`` says."""
        return type(self)(converted=config.get("init_lora_weights") not in FROM_WEIGHT)

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
        problems = _entry_problems(config) + _start_problems(config, plan)
        for edit in plan.edits:
            problems += _scale_problems(config, edit, self.converted)
        return problems

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """A first."""
        rank, _ = effective(edit, self.converted)
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
        first, second = (arrays[parameter.name] for parameter in edit.parameters)
        down, up = _whole(edit, first, second)
        start = edit.arguments.start
        if start is not None:
            taken = _whole(edit, start.a, start.b)
            down, up = np.concatenate([down, taken[0]]), np.concatenate([up, -taken[1]], 1)
        return {
            key: array.reshape(shape) for (key, shape), array in zip(self.shapes(edit).items(), (down, up), strict=True)
        }

    def restore(self, edit: Edit, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises InputError where the update reaches outside of the plan's slices, or takes another start off."""
        down, up = (tensors[key] for key in self.shapes(edit))
        if edit.arguments.start is not None and self.converted:
            rank, _ = effective(edit, False)
            _check_start(edit, down[rank:], -up[:, rank:])
            down, up = down[:rank], up[:, :rank]
        found = (down, _gather_blocks(edit, up))
        return {p.name: array.reshape(p.shape) for p, array in zip(edit.parameters, found, strict=True)}


def unsupported(config: Mapping[str, Any]) -> list[str]:
    """Settings of ``config`` under which it is not plain LoRA."""
    problems = _entry_problems(config)
    if config.get("init_lora_weights", True) not in PLAIN_INITIALISATIONS:
        problems.append(
            f"init_lora_weights {config['init_lora_weights']!r} may start from a changed base model; "
            "convert it to plain LoRA with PEFT first"
        )
    return problems


def _entry_problems(config: Mapping[str, Any]) -> list[str]:
    """Another method, and entries that are not known."""
    problems = []
    if config.get("peft_type") != "LORA":
        problems.append(f"peft_type must be 'LORA'; received {config.get('peft_type')!r}")
    known = READ_ENTRIES | OTHER_ENTRIES
    return problems + [
        f"{key} = {value!r} is not supported" for key, value in config.items() if value and key not in known
    ]


def factor_names(keys: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The keys of A and B by module path, of PEFT's keys without their prefix, of which either may be missing."""
    found = {}
    for key in keys:
        if (match := _EITHER.fullmatch(key)) and (first := _FACTOR.fullmatch(f"{match[1]}A{match[2]}")):
            found[first[1]] = (first[0], f"{match[1]}B{match[2]}")
    return found


def _whole(edit: Edit, down: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A' and B' of our A and B."""
    if not edit.arguments.slices:
        return down, up
    whole = np.zeros((edit.module.out_features, effective(edit, False)[0]), np.float32)
    for ours, features, columns in _blocks(edit):
        whole[features, columns] = up[ours]
    return down, whole


def _check_start(edit: Edit, down: np.ndarray, up: np.ndarray) -> None:
    """Raises InputError unless B0 A0 is the plan's; the factors themselves are not unique."""
    start = edit.arguments.start
    planned = placed_b(edit, start.b.astype(np.float64)) @ start.a
    lost = np.linalg.norm(up.astype(np.float64) @ down - planned)
    if lost > _SAME_START * np.linalg.norm(planned):
        raise InputError(
            f"The adapter must start from the weight of {edit.path} by init: {start.init}, as the plan does; what its file "
            "takes off is something else. Use the base model and the adaptation.init that it was trained with."
        )


def _start_problems(config: Mapping[str, Any], plan: Plan) -> list[str]:
    """A start that is unknown, or is not the plan's and leaves its mark in what is computed."""
    written = config.get("init_lora_weights", True)
    if written in FROM_WEIGHT:
        planned = {edit.arguments.start.init if edit.arguments.start else None for edit in plan.edits}
        if planned != {written}:
            return [f"init_lora_weights is {written!r}, which adaptation.init must be, too"]
        if written == "olora" and config.get("fan_in_fan_out"):
            return ["init_lora_weights 'olora' with fan_in_fan_out: PEFT takes the start of another matrix off there"]
        return []
    if written not in PLAIN_INITIALISATIONS:
        return [
            f"init_lora_weights {written!r} may start from a changed base model; convert it to plain LoRA with PEFT first"
        ]
    return []


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
    init = settings.get("init_lora_weights")
    start = {"init": init} if init in FROM_WEIGHT else {}
    return found | {"rank_stabilized": bool(settings.get("use_rslora"))} | start


def _scale_problems(config: Mapping[str, Any], edit: Edit, converted: bool) -> list[str]:
    rank = lookup(config, "rank_pattern", edit.path, config.get("r", 8))
    alpha = lookup(config, "alpha_pattern", edit.path, config.get("lora_alpha", 8))
    if not all(isinstance(value, (int, float)) and value > 0 for value in (rank, alpha)):
        return [f"{edit.path}: rank and alpha must be positive numbers; received {rank!r} and {alpha!r}"]
    scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    planned_rank, planned = effective(edit, converted)[0], edit.arguments.scaling
    if rank != planned_rank or not math.isclose(scaling, planned, rel_tol=1e-6):
        return [
            f"{edit.path}: the adapter has rank {rank} and scale {scaling:g}, "
            f"the plan rank {planned_rank} and scale {planned:g}"
        ]
    return []


def _exactly(path: str) -> str:
    """A PEFT pattern (regular expression, matched at the end of dotted paths) for this one path."""
    return f"^{re.escape(path)}"


def _blocks(edit: Edit) -> list[tuple[slice, np.ndarray, slice]]:
    """For each slice: its rows in our B, its rows in PEFT's B', its columns in B'."""
    rank, blocks, row = edit.arguments.rank, [], 0
    for index, features in enumerate(edit.arguments.parts):
        blocks.append((slice(row, row + len(features)), features, slice(index * rank, (index + 1) * rank)))
        row += len(features)
    return blocks


def _gather_blocks(edit: Edit, whole: np.ndarray) -> np.ndarray:
    """Our B (adapted outputs, rank) from PEFT's B' (out, slices * rank)."""
    if not edit.arguments.slices:
        return whole
    blocks = _blocks(edit)
    up = np.concatenate([whole[features, columns] for _, features, columns in blocks])
    if np.count_nonzero(whole) != np.count_nonzero(up):
        names = ",".join(slice_features(edit.arguments.slices))
        rank, alpha = effective(edit)
        raise InputError(
            f"LoRA of slices [{names}] changes only their own outputs; the adapter's update of {edit.path} reaches "
            f"outside them. Target the whole projection instead: {edit.path!r} with rank {rank} and alpha {alpha:g}."
        )
    return up
