"""The target grammar: globs on the full module path, with optional slices of a fused projection, ``*.attn.c_attn[q,v]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from common.adaptation.plan import LoraArguments, Plan, PlanStep
from common.config.schema import AdaptationConfig, TargetConfig
from common.errors import InputError, nearest
from common.models.specs import ModelSpec, ModuleSpec

__all__ = ["resolve"]

_PATTERN = re.compile(r"^(?P<glob>[^\[\]\s]+)(?:\[(?P<slices>[\w\s,]+)\])?$")
_ADAPTABLE = ("linear", "conv1d", "embedding")


def resolve(config: AdaptationConfig, spec: ModelSpec) -> Plan:
    """Resolve the adaptation section against the model's modules.

    ``*`` matches any run of characters, dots included; ``?`` one character. A module belongs to the first pattern that matches it. Heads are trained
    whole and never adapted.

    Raises:
        InputError: a pattern matches nothing (the nearest paths are named), names an unknown slice, or nothing would be trained.
    """
    weights = {name: shape for module in spec.modules for name, shape in module.shapes().items()}
    head_names = {name: shape for name, shape in weights.items() if name.rsplit(".", 1)[0] in spec.head}
    if config.method == "full":
        return Plan("full", (), weights, spec.head)
    if config.method == "head":
        if not head_names:
            raise InputError(
                f"method: head trains the task head, and a {spec.task} model has none of its own. Use method: lora or full."
            )
        return Plan("head", (), head_names, spec.head)
    steps, matched = _match(config, spec)
    biases = {
        name: shape
        for name, shape in weights.items()
        if name.endswith(".bias")
        and (config.bias == "all" or (config.bias == "lora_only" and name[: -len(".bias")] in steps))
    }
    ordered = tuple(steps[module.path] for module in spec.modules if module.path in steps)
    return Plan("lora", ordered, head_names | biases, spec.head, config.bias, matched)


def _match(
    config: AdaptationConfig, spec: ModelSpec
) -> tuple[dict[str, PlanStep], tuple[tuple[str, tuple[str, ...]], ...]]:
    candidates = [
        module
        for module in spec.modules
        if module.kind in _ADAPTABLE and not module.tied_to and module.path not in spec.head
    ]
    excluded = set()
    for pattern in config.exclude:
        paths = [module.path for module in candidates if fnmatchcase(module.path, pattern)]
        if not paths:
            raise InputError(_no_match("adaptation.exclude", pattern, candidates, spec))
        excluded.update(paths)
    steps: dict[str, PlanStep] = {}
    matched = []
    for target in config.targets:
        glob, names = _parse(target.pattern)
        modules = [module for module in candidates if fnmatchcase(module.path, glob)]
        if not modules:
            raise InputError(_no_match("adaptation.targets", target.pattern, candidates, spec))
        fresh = [module for module in modules if module.path not in steps and module.path not in excluded]
        if not fresh:
            raise InputError(
                f"Every target pattern must add a module; {target.pattern!r} matches only modules that an earlier pattern took or that are excluded. "
                "Remove it or put it first."
            )
        for module in fresh:
            steps[module.path] = _step(module, names, target, config)
        matched.append((target.pattern, tuple(module.path for module in fresh)))
    return steps, tuple(matched)


def _parse(pattern: str) -> tuple[str, tuple[str, ...]]:
    parsed = _PATTERN.match(pattern)
    names = tuple(name.strip() for name in parsed["slices"].split(",")) if parsed and parsed["slices"] else ()
    if not parsed or "" in names:
        raise InputError(
            f"A target is a glob on the module path, optionally followed by slices: '*.attn.c_attn[q,v]'; received {pattern!r}."
        )
    return parsed["glob"], names


def _step(module: ModuleSpec, names: Sequence[str], target: TargetConfig, config: AdaptationConfig) -> PlanStep:
    known = {name: (name, start, stop) for name, start, stop in module.slices}
    unknown = [name for name in names if name not in known]
    if unknown:
        what = f"has the slices {', '.join(known)}" if known else "is not a fused projection and has no slices"
        raise InputError(f"Target {target.pattern!r} names slice {unknown[0]!r}, but {module.path} {what}.")
    slices = tuple(known[name] for name in known if name in names)
    if len(slices) == len(known):
        slices = ()  # all of it: one adapter over the whole projection, as without slices
    rank, alpha = target.rank or config.rank, target.alpha if target.alpha is not None else config.alpha
    limit = (
        min(module.in_features, *(stop - start for _, start, stop in slices))
        if slices
        else min(module.in_features, module.out_features)
    )
    if rank > limit:
        raise InputError(
            f"A rank above the smaller side of the matrix adds nothing; {module.path} is {module.in_features} x {module.out_features} and rank is {rank}. "
            f"Use at most {limit}."
        )
    return PlanStep(
        module.path,
        "lora",
        module.kind,
        module.in_features,
        module.out_features,
        LoraArguments(rank, alpha, config.dropout, config.rank_stabilized, slices),
    )


def _no_match(where: str, pattern: str, candidates: Sequence[ModuleSpec], spec: ModelSpec) -> str:
    glob = pattern.split("[")[0]
    if any(fnmatchcase(path, glob) for path in spec.head):
        return f"{where}: {pattern!r} matches only the task head ({', '.join(spec.head)}), which is trained whole with every method. Remove it."
    paths = {module.path: module for module in candidates}
    close = nearest(glob.strip("*."), {".".join(path.split(".")[-n:]) for path in paths for n in (1, 2, 3)})
    kinds = sorted({".".join(part for part in path.split(".") if not part.isdigit()) for path in paths})
    listed = f"Module paths (layer numbers left out): {', '.join(kinds)}."
    return f"Every pattern must match a module; {where}: {pattern!r} matches none of {len(paths)}.{close} {listed}"
