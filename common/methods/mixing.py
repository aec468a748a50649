"""Several LoRA adapters in one network, of which every row of a batch uses its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.edits import Edit, Given, ParameterSpec
from common.errors import InputError
from common.methods.peft.lora import LoraFormat
from common.methods.plan import Plan
from common.models.modules import LINEAR, ModuleSpec
from common.models.specs import ModelSpec

__all__ = ["MixedArguments", "mixed_plan"]


@dataclass(frozen=True)
class MixedArguments:
    """What the adapters do to one module; one that leaves it alone has rank 0. Those of a head have no ranks."""

    ranks: tuple[int, ...]
    scales: tuple[float, ...]

    def shares(self) -> np.ndarray:
        """By what a row multiplies the low-rank features of all adapters, ``(adapters + 1, sum of ranks)`` float32: the
        scale of its own, 0 of others. The last row is that of the base model."""
        found, first = np.zeros((len(self.ranks) + 1, sum(self.ranks)), np.float32), 0
        for number, (rank, scale) in enumerate(zip(self.ranks, self.scales, strict=True)):
            found[number, first : first + rank] = scale
            first += rank
        return found


Arrays = Mapping[str, np.ndarray]


def mixed_plan(plans: Mapping[str, Plan], arrays: Mapping[str, Arrays], spec: ModelSpec) -> Plan:
    """A plan whose edits hold every adapter.

    Args:
        plans: by the name of the adapter; rows choose them by number, in this order, and the base model after them.
        arrays: what each of them trained.

    Raises:
        InputError: an adapter is no LoRA of linear layers, or changes more than that and the head.
    """
    for name, plan in plans.items():
        _refuse_others(name, plan, spec)
    adapted = {edit.path for plan in plans.values() for edit in plan.edits}
    trained = {p.name.rpartition(".")[0] for plan in plans.values() for p in plan.unfrozen}
    edits = [
        _updates(module, plans, arrays) if module.path in adapted else _heads(module, plans, arrays, spec)
        for module in spec.modules
        if module.path in adapted or module.path in trained
    ]
    first = next(iter(plans.values()))
    return Plan(first.method, tuple(edits), (), spec.head, first.artifact, first.options)


def _refuse_others(name: str, plan: Plan, spec: ModelSpec) -> None:
    kinds = {module.path: module.kind for module in spec.modules}
    whole = [p.name for p in plan.unfrozen if p.name.rpartition(".")[0] not in spec.head]
    heads = [path for path in spec.head if kinds[path] is not LINEAR]
    others = [edit.path for edit in plan.edits if edit.layer != _LAYER or not edit.module.kind.matrix]
    if others or whole or heads:
        raise InputError(
            f"Rows of one batch may have different adapters where these are LoRA of linear layers, with a head of linear "
            f"layers; {name} is of method {plan.method} and changes {(others or whole or heads)[0]}. Choose one adapter for "
            "all rows: set_adapter."
        )


_LAYER = LoraFormat.layer


def _updates(module: ModuleSpec, plans: Mapping[str, Plan], arrays: Mapping[str, Arrays]) -> Edit:
    """The factors of every adapter one beside the other; slices of a fused projection are spread over all of it."""
    form, ranks, scales = LoraFormat(), [], []
    down, up = [], []
    for name, plan in plans.items():
        edit = next((edit for edit in plan.edits if edit.path == module.path), None)
        if edit is None:
            ranks.append(0)
            scales.append(0.0)
            continue
        a, b = form.export(edit, arrays[name]).values()
        down.append(a)
        up.append(b)
        ranks.append(len(a))
        scales.append(edit.arguments.scaling)
    a, b = np.concatenate(down), np.concatenate(up, 1)
    parameters = (
        ParameterSpec(f"{module.path}.mixed_A", a.shape, "mixed", Given(a)),
        ParameterSpec(f"{module.path}.mixed_B", b.shape, "mixed", Given(b)),
    )
    return Edit(module.path, "mixed_lora", "wrap", module, MixedArguments(tuple(ranks), tuple(scales)), parameters)


def _heads(module: ModuleSpec, plans: Mapping[str, Plan], arrays: Mapping[str, Arrays], spec: ModelSpec) -> Edit:
    """The weights and biases of every adapter, and those of the base model."""
    parameters = []
    for full in module.shapes():
        leaf = full.rpartition(".")[2]
        stacked = np.stack([*(arrays[name][full] for name in plans), spec.arrays[full]])
        parameters.append(ParameterSpec(f"{module.path}.mixed_{leaf}", stacked.shape, "mixed", Given(stacked)))
    arguments = MixedArguments((0,) * len(plans), (0.0,) * len(plans))
    return Edit(module.path, "mixed_linear", "wrap", module, arguments, tuple(parameters))
