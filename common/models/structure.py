"""Structural edits of a model, by transforms: in its list of modules, in its arrays and in config.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from common.config.convert import INVALID, build
from common.edits import Edit
from common.errors import InputError
from common.models.layers import LAYERS
from common.models.modules import ATTENTION, ModuleSpec
from common.models.specs import ModelSpec

__all__ = ["ENTRY", "dense", "edited", "entries", "read_edits", "restructured", "split_entries"]

ENTRY = "twinlora"  #: of config.json
_WEIGHTS = "transformers_weights"  #: where ``transformers`` looks up the file of the weights
_REFUSAL = "none: this model has layers that transformers does not have, see README.md"


def edited(modules: Iterable[ModuleSpec], edits: Iterable[Edit]) -> tuple[ModuleSpec, ...]:
    """The modules after ``edits``, of which the last one of a path counts, in the same order."""
    return _replaced(modules, {edit.path: LAYERS.get(edit.layer).module(edit.module, edit.arguments) for edit in edits})


def _replaced(modules: Iterable[ModuleSpec], others: Mapping[str, ModuleSpec]) -> tuple[ModuleSpec, ...]:
    """With ``others`` in the places of their paths. An attention has as many heads as its query projection then
    gives."""
    before = {module.path: module for module in modules}
    found = []
    for path, module in before.items():
        if module.kind is ATTENTION and (query := others.get(module.arguments.projections[0])) is not None:
            given, width = query.out_features, module.in_features // module.arguments.count
            if given != before[query.path].out_features:
                heads = dataclasses.replace(module.arguments, count=given // width)
                module = dataclasses.replace(module, in_features=given, out_features=given, arguments=heads)
        found.append(others.get(path, module))
    return tuple(found)


def restructured(spec: ModelSpec, edits: Sequence[Edit], arrays: Mapping[str, np.ndarray]) -> ModelSpec:
    """``spec`` with these structural edits, and no others, and the arrays that belong to them."""
    before = {edit.path: edit.module for edit in reversed(spec.edits)}
    plain = _replaced(spec.modules, before)
    return dataclasses.replace(spec, modules=edited(plain, edits), edits=tuple(edits), arrays=arrays)


def dense(spec: ModelSpec) -> ModelSpec:
    """The same model without structural edits: every weight is multiplied out in float64 and rounded once."""
    arrays = dict(spec.arrays)
    for edit in reversed(spec.edits):  # the last one of a path stands on the one before
        plain = LAYERS.get(edit.layer).plain(edit, arrays)
        for name in edit.shapes():
            del arrays[name]
        arrays |= plain
    return restructured(spec, (), arrays)


def entries(spec: ModelSpec) -> dict[str, Any]:
    """What config.json holds besides the Hugging Face configuration; nothing where there are no structural edits and
    the head is a usual one.

    ``transformers`` builds networks without these layers and would leave their weights at random with a warning. It
    is made to refuse: it looks for the weights in the file that its own entry names. A network with another head is
    named after its encoder, which ``transformers`` loads.
    """
    head = {"head": {"task": spec.task, "options": dict(spec.task_options)}} if spec.task_options else {}
    if not spec.edits:
        return {ENTRY: {"history": list(spec.history), "edits": [], **head}} if head else {}
    listed = [
        {"path": edit.path, "layer": edit.layer, "arguments": dataclasses.asdict(edit.arguments)} for edit in spec.edits
    ]
    return {ENTRY: {"history": list(spec.history), "edits": listed, **head}, _WEIGHTS: _REFUSAL}


def split_entries(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A configuration as it was read: without what `entries` added, and that (empty where there was nothing).

    Raises:
        InputError: the entry is not of its form.
    """
    found = config.get(ENTRY)
    if found is None:
        return dict(config), {}
    if not isinstance(found, dict) or not all(isinstance(found.get(key), list) for key in ("history", "edits")):
        raise InputError(
            f'The entry "{ENTRY}" of config.json must hold the lists "history" and "edits"; received {found!r}. '
            "Write the folder again with twinlora compress."
        )
    head = found.get("head", {"task": "", "options": {}})
    if not isinstance(head, dict) or not isinstance(head.get("task"), str) or not isinstance(head.get("options"), dict):
        raise InputError(
            f'The entry "{ENTRY}" of config.json must hold a head with "task" and "options", or none; received '
            f"{head!r}. "
            "Write the folder again."
        )
    return {key: value for key, value in config.items() if key not in (ENTRY, _WEIGHTS)}, found


def read_edits(
    recorded: Mapping[str, Any], modules: Sequence[ModuleSpec], prefix: str, optional: Collection[str]
) -> tuple[Edit, ...]:
    """The edits of an entry that `split_entries` found, for a model of ``modules``.

    Edits of another task's head, and of the ``optional`` paths, are left out where the model has no such module.

    Args:
        prefix: of the base model's paths.

    Raises:
        InputError: an edit is not of its form, or the model has no such module.
    """
    by_path = {module.path: module for module in modules}
    edits = []
    for item in recorded.get("edits", ()):
        if not isinstance(item, dict) or {"path", "layer", "arguments"} - item.keys():
            raise InputError(f'An edit in config.json must hold "path", "layer" and "arguments"; received {item!r}.')
        path, layer = item["path"], LAYERS.get(item["layer"])
        if path in by_path:
            edits.append(layer.edit(by_path[path], _arguments(layer.Arguments, item)))
            by_path[path] = layer.module(by_path[path], edits[-1].arguments)
        elif path.startswith(f"{prefix}.") and path not in optional:
            raise InputError(
                f"config.json says that {path} was replaced by a layer {layer.name}, but the model has no such "
                "module. Write the folder again with twinlora compress."
            )
    return tuple(edits)


def _arguments(kind: type, item: Mapping[str, Any]) -> Any:
    faults: list[str] = []
    given = item["arguments"] if isinstance(item["arguments"], dict) else {}
    found = build(kind, given, ("arguments",), lambda path, text: faults.append(f"{'.'.join(path)} {text}"), {})
    if found is INVALID:
        raise InputError(f"The edit of {item['path']} in config.json is wrong: {'; '.join(faults)}.")
    return found
