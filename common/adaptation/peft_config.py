"""adapter_config.json: what PEFT is told about a plan, and whether what it says fits one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from common.adaptation.plan import Plan, PlanStep
from common.errors import InputError
from common.models.specs import ModelSpec

__all__ = ["CONFIG_NAME", "config_problems", "effective", "peft_config"]

CONFIG_NAME = "adapter_config.json"
TASK_TYPES = {"sequence-classification": "SEQ_CLS", "language-modeling": "CAUSAL_LM"}
NO_TARGETS = "dummy-target-modules"  # PEFT's own word for an adapter that only has modules_to_save

# Entries that are represented by the plan, or say which modules and how training went: the keys in the file and the plan decide instead.
READ_ENTRIES = {"peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "init_lora_weights"}
OTHER_ENTRIES = {
    *(
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "modules_to_save",
        "bias",
        "fan_in_fan_out",
        "task_type",
    ),
    *("base_model_name_or_path", "revision", "inference_mode", "lora_dropout", "auto_mapping", "peft_version"),
    *("megatron_core", "qalora_group_size"),  # settings of features whose own switch is checked
}
PLAIN_INITIALISATIONS = (True, False, "gaussian")  # others start from a changed base model, or from a nonzero update


def effective(step: PlanStep) -> tuple[int, float]:
    """Rank and alpha of the step as PEFT sees it."""
    slices = len(step.ranges)
    return slices * step.arguments.rank, step.arguments.alpha * (
        math.sqrt(slices) if step.arguments.rank_stabilized else slices
    )


def peft_config(plan: Plan, spec: ModelSpec) -> dict[str, Any]:
    """adapter_config.json: what identifies the adapter, and entries that differ from PEFT's defaults."""
    ranks = {step.path: effective(step)[0] for step in plan.steps}
    alphas = {step.path: effective(step)[1] for step in plan.steps}
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] if values else 8 for values in (ranks, alphas))
    arguments = plan.steps[0].arguments if plan.steps else None
    optional = {
        "base_model_name_or_path": spec.source,
        "rank_pattern": {_exactly(path): value for path, value in ranks.items() if value != rank},
        "alpha_pattern": {_exactly(path): value for path, value in alphas.items() if value != alpha},
        "fan_in_fan_out": any(step.kind == "conv1d" for step in plan.steps),
        "modules_to_save": list(plan.head),
        "bias": plan.bias if plan.bias != "none" else None,
        "use_rslora": arguments and arguments.rank_stabilized,
        "lora_dropout": arguments and arguments.dropout,
    }
    required = {
        "peft_type": "LORA",
        "task_type": TASK_TYPES[spec.task],
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": _target_modules(plan, spec),
    }
    return required | {key: value for key, value in optional.items() if value}


def _exactly(path: str) -> str:
    """A PEFT pattern (regular expression, matched at the end of dotted paths) for this one path."""
    return f"^{re.escape(path)}"


def _target_modules(plan: Plan, spec: ModelSpec) -> list[str] | str:
    """The planned paths; as one regular expression when PEFT, which matches lists by dotted suffix, would find further modules."""
    paths = [step.path for step in plan.steps]
    others = {module.path for module in spec.modules} - set(paths)
    if any(other.endswith(f".{path}") for other in others for path in paths):
        return "|".join(re.escape(path) for path in paths)
    return paths or NO_TARGETS


def config_problems(config: Mapping[str, Any], plan: Plan) -> list[str]:
    """Settings under which PEFT would compute something else than the plan."""
    problems = []
    if config.get("peft_type") != "LORA":
        problems.append(f"peft_type must be 'LORA'; received {config.get('peft_type')!r}")
    if config.get("init_lora_weights", True) not in PLAIN_INITIALISATIONS:
        problems.append(
            f"init_lora_weights {config['init_lora_weights']!r} may start from a changed base model; convert it to plain LoRA with PEFT first"
        )
    problems += [
        f"{key} = {value!r} is not supported"
        for key, value in config.items()
        if value and key not in READ_ENTRIES | OTHER_ENTRIES
    ]
    for step in plan.steps:
        rank = _lookup(config, "rank_pattern", step.path, config.get("r", 8))
        alpha = _lookup(config, "alpha_pattern", step.path, config.get("lora_alpha", 8))
        if not all(isinstance(value, (int, float)) and value > 0 for value in (rank, alpha)):
            problems.append(f"{step.path}: rank and alpha must be positive numbers; received {rank!r} and {alpha!r}")
            continue
        scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        planned_rank, planned = effective(step)[0], step.arguments.scaling
        if rank != planned_rank or not math.isclose(scaling, planned, rel_tol=1e-6):
            problems.append(
                f"{step.path}: the adapter has rank {rank} and scale {scaling:g}, the plan rank {planned_rank} and scale {planned:g}"
            )
    return problems


def _lookup(config: Mapping[str, Any], entry: str, path: str, default: Any) -> Any:
    """Value of the first pattern of ``entry`` that matches ``path``, by PEFT's rule."""
    try:
        return next(
            (value for key, value in (config.get(entry) or {}).items() if re.match(rf"(.*\.)?({key})$", path)), default
        )
    except (AttributeError, re.error) as error:
        raise InputError(
            f"{entry} of {CONFIG_NAME} must map regular expressions to numbers; received {config[entry]!r}: {error}."
        ) from error
