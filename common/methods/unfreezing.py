"""Base parameters that are trained as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from common.edits import ParameterSpec
from common.errors import InputError
from common.methods.plan import BIAS, EMBEDDING, HEAD, Plan
from common.models.specs import ModelSpec

__all__ = ["biases", "everything", "head_parameters", "merged_groups", "norms", "require_head", "with_embeddings"]


def _spec(name: str, shape: tuple[int, ...], component: str) -> ParameterSpec:
    return ParameterSpec(name, shape, component, decay=len(shape) > 1)


def _trainable(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters that a method may train."""
    frozen = spec.frozen
    return {name: shape for name, shape in spec.shapes().items() if name not in frozen}


def _in_head(name: str, spec: ModelSpec) -> bool:
    return name.rpartition(".")[0] in spec.head


def _refuse_integers(spec: ModelSpec, paths: Collection[str]) -> None:
    held = [module.path for module in spec.modules if module.dtypes and module.path in paths]
    if held:
        more = f" and {len(held) - 3} more" if len(held) > 3 else ""
        raise InputError(
            f"Weights that are trained as they are must be floating-point numbers; {', '.join(held[:3])}{more} are "
            "stored "
            "in few bits, which have no gradient. Train adapters on them (method lora), or make the model plain first: "
            "twinlora merge RUN OUT --dense, or train the model that it was made of."
        )


def everything(spec: ModelSpec) -> tuple[ParameterSpec, ...]:
    """Every parameter of the model.

    Raises:
        InputError: some hold integers.
    """
    _refuse_integers(spec, [module.path for module in spec.modules])
    return tuple(
        _spec(name, shape, HEAD if _in_head(name, spec) else "other") for name, shape in _trainable(spec).items()
    )


def head_parameters(spec: ModelSpec) -> tuple[ParameterSpec, ...]:
    """Those of the task head.

    Raises:
        InputError: some hold integers.
    """
    _refuse_integers(spec, spec.head)
    return tuple(_spec(name, shape, HEAD) for name, shape in _trainable(spec).items() if _in_head(name, spec))


def biases(spec: ModelSpec, paths: Collection[str] | None = None, added: bool = False) -> tuple[ParameterSpec, ...]:
    """Every bias, or those of the modules at ``paths``; the head's are counted as part of the head.

    Args:
        added: also the further biases of an attention, which PEFT's ``bias: all`` leaves out.
    """
    found, trainable = [], _trainable(spec)
    for module in spec.modules:
        for name, shape in module.biases().items():
            if name not in trainable:
                continue
            if (paths is None or module.path in paths) and (added or name.endswith(".bias")):
                found.append(_spec(name, shape, HEAD if _in_head(name, spec) else BIAS))
    return tuple(found)


def norms(spec: ModelSpec, paths: Collection[str] | None = None) -> tuple[ParameterSpec, ...]:
    """Weights and biases of every norm outside of the head, or of those at ``paths``."""
    return tuple(
        ParameterSpec(name, shape, "layer_norm", decay=False)
        for module in spec.modules
        if module.kind.norm and module.path not in spec.head and (paths is None or module.path in paths)
        for name, shape in module.shapes().items()
    )


def merged_groups(*groups: tuple[ParameterSpec, ...]) -> tuple[ParameterSpec, ...]:
    """Several groups in order, each parameter once."""
    return tuple({parameter.name: parameter for group in groups for parameter in group}.values())


def require_head(spec: ModelSpec, method: str) -> None:
    """Raise InputError where the model has no head of its own to train."""
    if not spec.head:
        raise InputError(
            f"method: {method} trains the task head, and a {spec.task} model has no head of its own. "
            "Use a method that trains something else."
        )


def with_embeddings(plan: Plan, spec: ModelSpec) -> Plan:
    """``plan``, which also trains the embeddings that got new tokens and stores them whole, as PEFT's
    ``modules_to_save`` does; an output that shares their weight is saved too.

    Raises:
        InputError: the plan edits such an embedding.
    """
    paths = tuple(name.rpartition(".")[0] for name in spec.extended)
    edited = [edit.path for edit in plan.edits if edit.path in paths]
    if edited:
        raise InputError(
            f"{edited[0]} has tokens of model.add_tokens and is trained as a whole, so that {plan.method} cannot change it. "
            "Remove it from adaptation.targets, or use another method."
        )
    shapes, known = spec.shapes(), {parameter.name for parameter in plan.unfrozen}
    added = tuple(_spec(name, shapes[name], EMBEDDING) for name in spec.extended if name not in known)
    sharing = tuple(module.path for module in spec.modules if module.tied_to in paths)
    return dataclasses.replace(plan, unfrozen=(*plan.unfrozen, *added), head=(*plan.head, *paths, *sharing))
