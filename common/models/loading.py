"""From a model section of the configuration to a complete ``ModelSpec``: every parameter with its start value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common import backend
from common.errors import InputError, nearest
from common.models import FAMILIES, Family
from common.models.checkpoint import canonical_names, fingerprint, locate, read_checkpoint, read_config
from common.models.companions import SEED, Companion, joined
from common.models.family import HeadLayout
from common.models.heads import HeadOrigin, Rows, match_rows, origin_of, take_rows
from common.models.modules import ModuleSpec
from common.models.sharing import united
from common.models.specs import ModelSpec
from common.models.structure import edited, read_edits, split_entries
from common.models.vectors import Words, with_vectors
from common.models.vocabulary import grown, modules_of, rows_of_tokens, stored_shapes
from common.tasks import TASKS, Task, configured

if TYPE_CHECKING:
    from common.config.schema import ModelConfig

__all__ = ["load_model_spec", "outline"]

_MOST_LAYERS = 10_000
_LARGEST_SIZE = 2**31 - 1  #: of a width, a vocabulary, ...: what the index of an array holds


def load_model_spec(
    config: ModelConfig,
    labels: tuple[str, ...] | None,
    vocabulary: int,
    pad_token_id: int | None,
    seed: int,
    words: Words | None = None,
) -> ModelSpec:
    """Resolve the source, complete the Hugging Face configuration and read or initialise every parameter.

    Args:
        labels: names of the classes; None for a task without.
        vocabulary: number of ids the tokenizer can produce; the embedding must hold them, and has just as many rows in
            a model built from scratch.
        seed: parameters the checkpoint lacks (a new head, or everything without a source) depend on (seed, name).
        words: of the tokenizer, where ``model.vectors`` names their vectors.

    Raises:
        InputError: unknown source, family, task or configuration entry, or a checkpoint that does not fit.
    """
    folder = locate(config.source) if config.source else None
    given, recorded = split_entries(read_config(folder) if folder else {})
    name = config.config.get("model_type", given.get("model_type"))
    if name is None:
        raise InputError(
            f'Without model.source, model.config must name its "model_type": one of {", ".join(FAMILIES.names())}. '
            f"Received {dict(config.config)}."
        )
    task = configured(config)
    if name not in FAMILIES and config.add_tokens:
        raise InputError(
            f"model.add_tokens is there for the families {', '.join(FAMILIES.names())}; the model_type is {name}. Add the "
            "tokens with transformers (resize_token_embeddings), save model and tokenizer, and name that folder."
        )
    if name not in FAMILIES and recorded:
        raise InputError(
            f"{folder} holds structural edits, which are read for the families {', '.join(FAMILIES.names())} alone; its "
            f"model_type is {name}."
        )
    if name not in FAMILIES:
        if not backend.available()["pytorch"]:
            raise InputError(
                f"{name} is no family of this project ({', '.join(FAMILIES.names())}); any other is read by transformers "
                "and needs PyTorch, which is not installed. Use one of these, or install PyTorch."
            )
        return backend.load("pytorch").hf_bridge.foreign.describe(config, folder, given, labels, pad_token_id, seed)
    family = FAMILIES.get(name)
    complete = complete_config(family, task, given, config, labels, pad_token_id)
    if folder is None:
        complete |= _of_new_vocabulary(family, config, vocabulary, pad_token_id)
    elif config.add_tokens:
        complete["vocab_size"] = max(complete["vocab_size"], vocabulary)
    _check_sizes(family, config, complete, vocabulary)
    layout = task.layout(family, complete)
    if layout is None:
        raise InputError(
            f"{name} has no head for {config.task} here. Choose another model.task, or another model.source."
        )
    _check_network(family, layout, complete, given)
    complete["architectures"] = [layout.architecture]
    classes = tuple(complete["id2label"].values()) if labels is not None else None
    spec = _assemble(family, task, layout, complete, given, classes, recorded, config, folder, seed)
    if config.vectors is not None and folder is None:
        spec = with_vectors(spec, family, config.vectors, words)
    wish = task.companion(family, complete, config, folder)
    if wish is None:
        return spec
    other = load_model_spec(wish.model, None, vocabulary, pad_token_id, seed + SEED)
    return joined(spec, Companion(wish.name, other, wish.table, wish.sharing))


def _assemble(
    family: Family,
    task: Task,
    layout: HeadLayout,
    complete: dict[str, Any],
    given: Mapping[str, Any],
    classes: tuple[str, ...] | None,
    recorded: Mapping[str, Any],
    config: ModelConfig,
    folder: Path | None,
    seed: int,
) -> ModelSpec:
    backbone = family.backbone(complete)
    head = layout.modules(backbone.width, layout.count(complete))
    plain, new = (*backbone.modules, *head), layout.new()
    edits = read_edits(recorded, plain, backbone.prefix, family.OPTIONAL)
    modules = edited(plain, edits)
    head = tuple(module for module in modules if module.path in {module.path for module in head})
    _check_memory(family.name, modules)
    shapes = {name: shape for module in modules for name, shape in module.shapes().items()}
    added = rows_of_tokens(family, layout, complete) if config.add_tokens and folder is not None else {}
    integers = {name: dtype for module in modules for name, dtype in module.integers().items()}
    loaded: dict[str, np.ndarray] = {}
    own: dict[str, np.ndarray] = {}
    rows = None
    if folder is not None:
        tied = tuple(module.path for module in modules if module.tied_to)
        absent = tuple(module.path for module in head)
        held = united(
            read_checkpoint(folder, integers), layout, backbone.prefix, shapes, _of_two_values(family, task, complete)
        )
        own, rows = _outputs(layout, held, shapes, given, classes)
        size = given.get("vocab_size", family.DEFAULTS["vocab_size"])
        stored = stored_shapes(shapes, tuple(added), size)
        loaded = canonical_names(held, stored, backbone.prefix, new, absent, (*tied, *family.OPTIONAL), integers)
        lacking = {module.path for module in head if not module.shapes().keys() <= loaded.keys()}
        new = tuple(module.path for module in head if module.path in {*new, *(lacking & set(layout.base))})
        if rows is not None:
            loaded = {name: array for name, array in loaded.items() if name not in own}
    stored_rows = {name: loaded[name] for name in added if name in loaded}
    loaded = grown(loaded, shapes, tuple(added))
    fresh = _initialised(family, modules, complete, seed, loaded)
    if rows is not None:
        taken = {name: take_rows(array, rows, fresh[name]) for name, array in own.items()}
        whole = None not in rows.rows
        loaded |= taken if whole else {}
        fresh = {name: array for name, array in (fresh | taken).items() if name not in loaded}
    return ModelSpec(
        family=family.name,
        task=task.name,
        config=complete,
        modules=modules,
        head=new,
        arrays=loaded | fresh,
        schema=task.schema(family),
        layout=layout,
        edits=edits,
        order=backbone.order,
        history=tuple(recorded.get("history", ())),
        task_options=task.recorded(),
        fingerprint=fingerprint((loaded | stored_rows) or fresh),
        source=config.source,
        extended=tuple(name for name, module in added.items() if module.kind.lookup),
        new_parameters=tuple(fresh) if folder else (),
        head_origin=_origin(layout, head, rows, fresh) if folder else HeadOrigin(),
    )


def _of_two_values(family: Family, task: Task, complete: Mapping[str, Any]) -> str:
    """What can be done where a checkpoint holds an output that is not the embedding, though its config.json ties them."""
    try:
        own = task.layout(family, {**complete, "tie_word_embeddings": False})
    except InputError:
        own = None
    if own is not None and not own.tied_to:
        return "Set model.config.tie_word_embeddings to false, with which the output has a weight of its own."
    return "Use another checkpoint: this head has no weight of its own here."


def _check_memory(name: str, modules: Sequence[ModuleSpec]) -> None:
    """Refuse a network that the machine cannot hold, before memory is taken for it."""
    import psutil

    needed = 4 * sum(math.prod(shape) for module in modules for shape in module.shapes().values())
    held = psutil.virtual_memory().total
    if needed > held:
        raise InputError(
            f"A model must fit into memory; the sizes of this {name} network make {needed:,} bytes in float32, and the machine has "
            f"{held:,}. Correct the sizes in model.config or in the model's config.json, or use a larger machine."
        )


def _outputs(
    layout: HeadLayout,
    held: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    given: Mapping[str, Any],
    classes: tuple[str, ...] | None,
) -> tuple[dict[str, np.ndarray], Rows | None]:
    """The checkpoint's arrays with one row a class, and which row is which class; None where it has none that fit."""
    weight = f"{layout.output}.weight"
    names = [name for name in shapes if name.rpartition(".")[0] == layout.output and layout.output in layout.new()]
    own = {name: held[name] for name in names if name in held}
    fits = all(array.ndim == len(shapes[name]) and array.shape[1:] == shapes[name][1:] for name, array in own.items())
    counts = {len(array) for array in own.values() if array.ndim}
    if not own or not fits or len(counts) != 1 or set(own) != set(names):
        return {}, None
    return own, match_rows(given, classes, counts.pop(), shapes[weight][0])


def _origin(
    layout: HeadLayout, head: Sequence[ModuleSpec], rows: Rows | None, fresh: Mapping[str, np.ndarray]
) -> HeadOrigin:
    return origin_of(rows, [module.path for module in head if module.shapes()], layout.output, fresh)


def outline(model_type: str, task: str, entries: Mapping[str, Any], labels: tuple[str, ...] | None = None) -> ModelSpec:
    """The modules of a model without any array, for counts and plans of models that are never built."""
    family, found = FAMILIES.get(model_type), TASKS.get(task)
    complete = {**family.DEFAULTS, **entries, **found.entries(labels)}
    layout = found.layout(family, complete)
    if layout is None:
        raise InputError(f"{model_type} has no head for {task} here. Choose another task, or another model.")
    modules, schema = modules_of(family, layout, complete), found.schema(family)
    order = family.backbone(complete).order
    return ModelSpec(family.name, found.name, complete, modules, layout.new(), {}, schema, layout, order=order)


def _of_new_vocabulary(
    family: Family, config: ModelConfig, vocabulary: int, pad_token_id: int | None
) -> dict[str, Any]:
    """Entries of a model built from scratch. A new vocabulary has one special token, for all three uses."""
    entries: dict[str, Any] = {} if "vocab_size" in config.config else {"vocab_size": vocabulary}
    if pad_token_id is not None and "eos_token_id" in family.DEFAULTS:
        special = (key for key in ("bos_token_id", "eos_token_id") if key not in config.config)
        entries |= dict.fromkeys(special, pad_token_id)
    return entries


def _check_sizes(family: Family, config: ModelConfig, complete: Mapping[str, Any], vocabulary: int) -> None:
    width, heads = (complete[key] for key in family.HEADS) if family.HEADS else (0, 1)
    if width % heads and not complete.get("head_dim"):
        raise InputError(
            f"{family.HEADS[0]} must be a multiple of {family.HEADS[1]}; received {width} and {heads}. "
            "Set both in model.config."
        )
    if vocabulary > complete["vocab_size"]:
        if config.source is None:
            advice = "Set model.config.vocab_size to the number of ids at least."
        elif config.tokenizer in (None, config.source):
            advice = f"The tokenizer and the weights in {config.source} do not belong together: get both again from one place."
        else:
            advice = f"Use the tokenizer that belongs to {config.source}: leave model.tokenizer out; received {config.tokenizer}."
        raise InputError(
            f"The tokenizer produces {vocabulary} ids but the model has {complete['vocab_size']} embeddings. {advice}"
        )


def _check_network(family: Family, layout: HeadLayout, complete: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    problems = list(family.problems(complete, given))
    if layout.tied_to and complete.get("tie_word_embeddings") is False:
        problems.append(f"tie_word_embeddings must be true, since the head shares the weight of {layout.tied_to}")
    if problems:
        raise InputError(
            f"This {family.name} network cannot be built:\n  " + "\n  ".join(problems) + "\n"
            "Correct the entries in model.config or in the model's config.json, or choose another model.source."
        )


def complete_config(
    family: Family,
    task: Task,
    given: Mapping[str, Any],
    config: ModelConfig,
    labels: tuple[str, ...] | None,
    pad_token_id: int | None,
) -> dict[str, Any]:
    """Defaults, then the checkpoint's entries, then ``model.config`` and ``model.dropout``, then the task's."""
    unknown = [key for key in config.config if key not in family.DEFAULTS and key not in given]
    if unknown:
        raise InputError(
            f"model.config.{unknown[0]} is not an entry of a {family.name} configuration."
            f"{nearest(unknown[0], family.DEFAULTS)}"
        )
    _check_types(family, {**given, **config.config})
    base = {key: value for key, value in given.items() if key != "problem_type"}  # of the checkpoint's own head
    complete = {**family.DEFAULTS, **base, **config.config}
    if config.dropout is not None:
        complete |= dict.fromkeys(family.DROPOUTS, config.dropout)
    if pad_token_id is not None:
        complete["pad_token_id"] = pad_token_id
    return complete | task.entries(labels)


def _check_types(family: Family, entries: Mapping[str, Any]) -> None:
    """An entry must be of the kind that the family's default has; only ids of tokens may be null or lists, and sizes are
    bounded."""
    problems = []
    sizes = {*family.SIZE.values(), *family.HEADS, "vocab_size", "type_vocab_size"}
    layers = family.SIZE.get("layers")
    for name, default in family.DEFAULTS.items():
        value = entries.get(name, default)
        several = isinstance(value, list) and all(isinstance(one, int) and one >= 0 for one in value)
        if default is None or (value is None and name in family.NULLABLE):
            continue
        if name.endswith("_token_id") and (value is None or several):
            continue
        most = _MOST_LAYERS if name == layers else _LARGEST_SIZE
        least = min(default, 1) if isinstance(default, int) else 1
        if name in sizes and isinstance(default, int) and isinstance(value, int) and not least <= value <= most:
            problems.append(f"model.config.{name} must be from {least} to {most:,}; received {value}")
            continue
        floor = min(0, default) if isinstance(default, int) else 0
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right = {
            bool: isinstance(value, bool),
            int: number and isinstance(value, int) and value >= floor,
            float: number and value >= 0,
            str: isinstance(value, str),
        }.get(type(default), True)
        if not right:
            negative = isinstance(default, int) and default < 0
            kind = {
                bool: "true or false",
                int: f"an integer of at least {default}" if negative else "a non-negative integer",
                float: "a non-negative number",
                str: "a name",
            }[type(default)]
            problems.append(f"model.config.{name} must be {kind}; received {value!r}")
    if problems:
        raise InputError("; ".join(problems) + ". Correct it in the experiment file, or in the model's config.json.")


def _initialised(
    family: Family,
    modules: Sequence[ModuleSpec],
    config: Mapping[str, Any],
    seed: int,
    loaded: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    return {
        name: np.zeros(shape, np.float32) if module.kind.zero else family.initial(module, name, shape, config, seed)
        for module in modules
        for name, shape in module.shapes().items()
        if name not in loaded
    }
