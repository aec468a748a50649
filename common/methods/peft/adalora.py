"""AdaLoRA in PEFT's format: directions that were dropped are left out, and ``rank_pattern`` says which those were."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.data.sources import portable_name
from common.edits import Edit
from common.errors import InputError
from common.methods.peft.format import CONFIG_NAME, PeftFormat, listed_targets, modules_to_save
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["AdaloraFormat", "section"]

_SUFFIX = ".lora_E"
_KNOWN = {
    *("peft_type", "task_type", "target_modules", "exclude_modules", "modules_to_save", "fan_in_fan_out", "bias"),
    *("init_r", "target_r", "tinit", "tfinal", "deltaT", "beta1", "beta2", "orth_reg_weight", "total_step", "r"),
    *("lora_alpha", "lora_dropout", "rank_pattern", "init_lora_weights", "layers_to_transform", "layers_pattern"),
    *("base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "peft_version", "megatron_core"),
    "qalora_group_size",  # of a feature whose own switch is checked
}
Pattern = dict[str, np.ndarray]


def _entry(settings: Mapping[str, Any], name: str, default: Any) -> Any:
    value = settings.get(name)
    return default if value is None else value


def section(settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """Targets, ranks and schedule of an adapter folder; None where it is of another type."""
    paths = [key.removesuffix(_SUFFIX) for key in shapes if key.endswith(_SUFFIX)]
    if settings.get("peft_type") != "ADALORA" or not paths:
        return None
    rank = _entry(settings, "init_r", 12)
    return {
        "targets": paths,
        "initial_rank": rank,
        "target_rank": min(_entry(settings, "target_r", 8), rank),
        "alpha": _entry(settings, "lora_alpha", 8) or rank,
        "total_steps": _entry(settings, "total_step", 1),
        "initial_steps": _entry(settings, "tinit", 0),
        "final_steps": _entry(settings, "tfinal", 0),
        "interval": _entry(settings, "deltaT", 1),
        "orthogonality": _entry(settings, "orth_reg_weight", 0.5),
        "beta1": _entry(settings, "beta1", 0.85),
        "beta2": _entry(settings, "beta2", 0.85),
    }


class AdaloraFormat(PeftFormat):
    """``lora_A``, ``lora_E`` and ``lora_B`` of every edit.

    Args:
        pattern: path to the directions that the file holds, booleans ``(rank,)``; paths that it lacks hold all.
    """

    def __init__(self, pattern: Pattern | None = None):
        self._pattern = pattern or {}

    def writing(self, plan: Plan, arrays: Mapping[str, np.ndarray]) -> AdaloraFormat:
        """Without the directions whose e is zero, unless that is all of them: then nothing has been trained yet."""
        pattern = {edit.path: arrays[f"{edit.path}{_SUFFIX}"][:, 0] != 0 for edit in plan.edits}
        some, every = (test(np.concatenate(list(pattern.values()))) for test in (np.any, np.all))
        return AdaloraFormat(pattern if some and not every else None)

    def reading(self, config: Mapping[str, Any], plan: Plan) -> AdaloraFormat:
        """As the file's ``rank_pattern`` says.

        Raises:
            InputError: it is not one list of booleans for each layer.
        """
        written = config.get("rank_pattern") or {}
        ranks = {edit.path: edit.arguments.rank for edit in plan.edits}
        pattern = {}
        for key, kept in written.items() if isinstance(written, Mapping) else [(str(written), None)]:
            path = str(key).removesuffix(_SUFFIX)
            booleans = isinstance(kept, list) and all(isinstance(one, bool) for one in kept)
            if not booleans or path not in ranks or len(kept or ()) != ranks[path]:
                raise InputError(
                    f"rank_pattern of {CONFIG_NAME} must hold a list of {ranks.get(path, 'as many')} booleans for each layer "
                    f"of the plan; received {key!r}: {str(kept)[:60]}. Use the configuration that it was trained with."
                )
            pattern[path] = np.array(kept, bool)
        return AdaloraFormat(pattern)

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """Ranks, schedule and targets."""
        options = plan.options
        required = {
            "peft_type": "ADALORA",
            "task_type": TASKS.get(spec.task).peft_type,
            "target_modules": listed_targets([edit.path for edit in plan.edits], spec),
            "init_r": options.initial_rank,
            "target_r": options.target_rank,
            "lora_alpha": options.alpha,
            "total_step": options.total_steps,
            "tinit": options.initial_steps,
            "tfinal": options.final_steps,
            "deltaT": options.interval,
            "beta1": options.beta1,
            "beta2": options.beta2,
            "orth_reg_weight": options.orthogonality,
        }
        optional = {
            "base_model_name_or_path": portable_name(spec.source),
            "modules_to_save": modules_to_save(plan, spec),
            "fan_in_fan_out": any(edit.module.kind.transposed for edit in plan.edits),
            "lora_dropout": options.dropout,
            "rank_pattern": {f"{path}{_SUFFIX}": kept.tolist() for path, kept in self._pattern.items()},
        }
        return required | {key: value for key, value in optional.items() if value}

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """Another method, rank or scale, and settings that are not supported."""
        problems = []
        if config.get("peft_type") != "ADALORA":
            problems.append(f"peft_type must be 'ADALORA'; received {config.get('peft_type')!r}")
        problems += [
            f"{key} = {value!r} is not supported" for key, value in config.items() if value and key not in _KNOWN
        ]
        if config.get("bias") not in (None, "none"):
            problems.append(f"bias = {config['bias']!r} is not supported")
        options, rank = plan.options, _entry(config, "init_r", 12)
        alpha = _entry(config, "lora_alpha", 8) or rank
        if rank != options.initial_rank:
            problems.append(f"init_r: the adapter has {rank!r}, the plan {options.initial_rank}")
        if not isinstance(alpha, int | float) or not math.isclose(alpha, options.alpha, rel_tol=1e-6):
            problems.append(f"lora_alpha: the adapter has {alpha!r}, the plan {options.alpha:g}")
        return problems

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """Those of the directions that are kept."""
        rank = int(self._kept(edit).sum())
        module, path = edit.module, edit.path
        return {
            f"{path}.lora_A": (rank, module.in_features),
            f"{path}{_SUFFIX}": (rank, 1),
            f"{path}.lora_B": (module.out_features, rank),
        }

    def export(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The directions that are kept."""
        q, e, p = (arrays[parameter.name] for parameter in edit.parameters)
        kept = self._kept(edit)
        return dict(zip(self.shapes(edit), (q[kept], e[kept], p[:, kept]), strict=True))

    def restore(self, edit: Edit, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Inverse of ``export``; zeros where a direction was dropped."""
        kept, found = self._kept(edit), {}
        for number, (parameter, key) in enumerate(zip(edit.parameters, self.shapes(edit), strict=True)):
            whole = np.zeros(parameter.shape, np.float32)
            whole[(slice(None), kept) if number == 2 else kept] = tensors[key]
            found[parameter.name] = whole
        return found

    def _kept(self, edit: Edit) -> np.ndarray:
        return self._pattern.get(edit.path, np.ones(edit.arguments.rank, bool))
