"""What a well-typed configuration must also satisfy: ranges of single fields, and rules between fields.

A rule sees its fields only if all of them had the right type, so that one mistake is reported once.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Any

from common.backend import FAST_PATHS
from common.data.tokenizer_training import of_words
from common.errors import InputError, nearest
from common.methods import METHODS
from common.tasks import TASKS
from common.trackers import TRACKERS

__all__ = ["EXCLUSIVE", "check"]

Problem = tuple[str, str]  # dotted path, message

#: Pairs of which one is given; an override (or a file) that gives one displaces the other's value from the layer below.
EXCLUSIVE = (
    ("optimization", "warmup_steps", "warmup_ratio"),
    ("training", "evaluate_every_steps", "evaluate_every_epochs"),
)
_SPLITS = ("train", "validation", "test")

_POSITIVE = ("must be greater than 0", lambda x: x > 0)
_NOT_NEGATIVE = ("must be 0 or more", lambda x: x >= 0)
_PROBABILITY = ("must be at least 0 and less than 1", lambda x: 0 <= x < 1)
_SEED = ("must be between 0 and 4294967295", lambda x: 0 <= x < 2**32)
_NAME = (
    "must be a plain folder name: letters, digits, dot, dash, underscore, at most 200 bytes",
    lambda x: re.fullmatch(r"[\w][\w.+ -]*(?<! )", x) is not None and len(x.encode()) <= 200,
)
RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": _NAME,
    "seed": _SEED,
    "model.dropout": _PROBABILITY,
    "data.max_length": ("must be 2 or more", lambda x: x >= 2),
    "data.length_multiple": _POSITIVE,
    "optimization.learning_rate": _POSITIVE,
    "optimization.head_learning_rate": _POSITIVE,
    "optimization.final_learning_rate": _NOT_NEGATIVE,
    "optimization.power": _POSITIVE,
    "optimization.decay": _NOT_NEGATIVE,
    "optimization.halve_after": _NOT_NEGATIVE,
    "optimization.halve_every": _POSITIVE,
    "optimization.warmup_steps": _NOT_NEGATIVE,
    "optimization.warmup_ratio": ("must be between 0 and 1", lambda x: 0 <= x <= 1),
    "optimization.weight_decay": _NOT_NEGATIVE,
    "optimization.max_grad_norm": _POSITIVE,
    "optimization.max_norm": _POSITIVE,
    "training.global_batch_size": _POSITIVE,
    "training.micro_batch_size": _POSITIVE,
    "training.epochs": _POSITIVE,
    "training.max_steps": _POSITIVE,
    "training.evaluate_every_steps": _POSITIVE,
    "training.evaluate_every_epochs": _POSITIVE,
    "training.evaluation_batch_size": _POSITIVE,
    "training.patience": _POSITIVE,
    "training.log_every_steps": _POSITIVE,
    "training.adversarial.weight": _NOT_NEGATIVE,
    "training.adversarial.learning_rate": _NOT_NEGATIVE,
    "training.adversarial.initial": _NOT_NEGATIVE,
    "distillation.temperature": _POSITIVE,
    "distillation.task_weight": _NOT_NEGATIVE,
    "distillation.logits_weight": _NOT_NEGATIVE,
    "distillation.hidden_weight": _NOT_NEGATIVE,
    "distillation.attention_weight": _NOT_NEGATIVE,
    "meta.learning_rate": _POSITIVE,
    "meta.weight": _NOT_NEGATIVE,
}
_RULES: list[tuple[tuple[str, ...], Callable[..., Iterator[Problem]]]] = []


def check(values: dict[str, Any]) -> list[Problem]:
    """Every broken range and rule among ``values`` (dotted path to well-typed value)."""
    problems = []
    for path, (text, holds) in RANGES.items():
        value = values.get(path)
        if value is not None and not holds(value):
            problems.append((path, f"{text}; received {value!r}"))
    bad = {path for path, _ in problems}
    for paths, rule in _RULES:
        if all(path in values and path not in bad for path in paths):
            problems.extend(rule(*(values[path] for path in paths)))
    return problems


def _rule(*paths: str):
    def register(function: Callable[..., Iterator[Problem]]):
        _RULES.append((paths, function))
        return function

    return register


@_rule("data.name")
def _data_name(name):
    if not name:
        yield "data.name", "must be given: a registered data set, files for your own, or hub"


@_rule("data.name", "data.hub", "data.hub_config", "data.splits")
def _hub(name, hub, config, splits):
    if name == "hub" and not hub:
        yield "data.hub", "must be the id of a data set, such as owner/name, when data.name is hub"
    for entry, value in (("hub", hub), ("hub_config", config), ("splits", splits)):
        if name not in (None, "hub") and value:
            yield f"data.{entry}", f"belongs to data.name: hub; received data.name: {name}; remove one"
    yield from _only_splits("data.splits", splits)


@_rule("data.name", "data.separator", "data.columns", "data.encoding")
def _form(name, separator, columns, encoding):
    if separator is not None and (len(separator) != 1 or separator in '\r\n"'):
        yield (
            "data.separator",
            f"must be one character that ends no line and is no quotation mark; received {separator!r}",
        )
    for index, column in enumerate(columns):
        if not column.strip() or column in columns[:index]:
            yield f"data.columns.{index}", f"must be a name that no other column has; received {column!r}"
    try:
        codecs.lookup(encoding).incrementaldecoder("strict").decode(b"", True)
        "".encode(encoding)
    except (LookupError, ValueError, TypeError):
        yield (
            "data.encoding",
            f"must be an encoding of text that Python knows, such as utf-8 or latin-1; received {encoding!r}",
        )


@_rule("data.name", "data.files")
def _files(name, files):
    if name == "files" and "train" not in files:
        yield "data.files", f"must name at least a train file when data.name is files; received {sorted(files)}"
    if name not in (None, "files") and files:
        yield "data.files", f"belongs to data.name: files; received data.name: {name}; remove one"


@_rule("data.files")
def _file_splits(files):
    yield from _only_splits("data.files", files)


@_rule("data.label_names")
def _label_names(names):
    for index, name in enumerate(names):
        if not name.strip() or name != name.strip():
            yield f"data.label_names.{index}", f"must not be empty, or begin or end with white space; received {name!r}"
        elif name in names[:index]:
            yield f"data.label_names.{index}", f"repeats {name!r}; every class has a name of its own"


@_rule("data.label_separator")
def _label_separator(separator):
    if separator == "":
        yield "data.label_separator", "must be at least one character, or null"


@_rule("data.max_examples")
def _max_examples(limits):
    yield from _only_splits("data.max_examples", limits)
    for split, limit in limits.items():
        if limit < 1:
            yield f"data.max_examples.{split}", f"must be greater than 0; received {limit}"


def _only_splits(path, mapping):
    for split in mapping:
        if split not in _SPLITS:
            yield f"{path}.{split}", f"is no split; known: {', '.join(_SPLITS)}"


@_rule("model.source", "model.tokenizer", "model.config")
def _from_scratch(source, tokenizer, config):
    if source is None and "model_type" not in config:
        yield (
            "model.source",
            "is null: a model built from scratch needs model.config with model_type and sizes; or name a checkpoint with --model SOURCE",
        )
    if source is None and tokenizer is None:
        yield "model.tokenizer", "must be given when model.source is null, for example bpe:8192"


@_rule("model.source", "model.vectors")
def _vectors(source, vectors):
    if source is not None and vectors is not None:
        yield (
            "model.vectors",
            f"are start values of a network from scratch, and model.source is {source!r}; remove one of them",
        )


@_rule("model.vectors_vocabulary", "model.vectors", "model.tokenizer")
def _vectors_vocabulary(wanted, vectors, tokenizer):
    if wanted and vectors is None:
        yield "model.vectors_vocabulary", "is about the words of model.vectors, which is null; name a file of them"
    if wanted and tokenizer is not None and not of_words(tokenizer):
        yield (
            "model.vectors_vocabulary",
            f"is for a tokenizer of whole words that is trained, such as words:20000; model.tokenizer is {tokenizer!r}",
        )


@_rule("model.add_tokens")
def _add_tokens(tokens):
    for token in tokens:
        if not token.strip() or token != token.strip():
            yield "model.add_tokens", f"must be words without spaces around them; received {token!r}"
    for token in {token for token in tokens if tokens.count(token) > 1}:
        yield "model.add_tokens", f"must be different tokens; {token!r} is listed {tokens.count(token)} times"


@_rule("model.task")
def _task(task):
    if task not in TASKS:
        yield (
            "model.task",
            f"must be one of {', '.join(TASKS.names())}; received {task!r}.{nearest(task, TASKS.names())}",
        )


@_rule("model.task", "model.task_options")
def _task_options(task, options):
    if task in TASKS:
        try:
            TASKS.get(task).configured(options)
        except InputError as error:
            yield "model.task_options", str(error).removeprefix("model.task_options ")


@_rule("adaptation.method", "model.task")
def _head(method, task):
    if method in METHODS and task in TASKS and METHODS.get(method).needs_head and not TASKS.get(task).new_head:
        suited = ", ".join(name for name in METHODS.names() if not METHODS.get(name).needs_head)
        yield "adaptation.method", f"{method} trains a new head, and a {task} model has none; use one of {suited}"


@_rule("training.global_batch_size")
def _batch_size(size):
    if size is None:
        yield "training.global_batch_size", "must be given; it has no default"


@_rule("training.global_batch_size", "training.micro_batch_size")
def _micro_batch(size, micro):
    if size is not None and micro is not None and size % micro:
        yield "training.micro_batch_size", f"must divide training.global_batch_size = {size}; received {micro}"


@_rule("training.recompute", "training.shard", "training.compile")
def _recompute(recompute, shard, compiled):
    for name, value in (("shard", shard), ("compile", compiled)):
        if recompute and value:
            yield "training.recompute", f"and training.{name} exclude each other; set one of them to false"


@_rule("training.plain")
def _plain(names):
    for index, name in enumerate(names):
        if name not in FAST_PATHS:
            yield (
                f"training.plain.{index}",
                f"must be one of {', '.join(FAST_PATHS)}; received {name!r}.{nearest(name, FAST_PATHS)}",
            )


@_rule("training.trackers")
def _trackers(names):
    for index, name in enumerate(names):
        if name not in TRACKERS:
            yield (
                f"training.trackers.{index}",
                f"must be one of {', '.join(TRACKERS.names())}; received {name!r}.{nearest(name, TRACKERS.names())}",
            )


@_rule("training.shard", "training.compile", "adaptation.method")
def _shard(shard, compiled, method):
    if shard and method in METHODS and METHODS.get(method).artifact != "adapter":
        yield (
            "training.shard",
            f"divides frozen weights, and adaptation.method: {method} trains them all; "
            "use a method that trains an adapter, or set it to false",
        )
    if shard and compiled:
        yield (
            "training.shard",
            "gathers the weights layer by layer, and training.compile: true makes one graph of all; "
            "set one of them to false",
        )


@_rule("training.adversarial.method", "model.task", "training.shard")
def _adversarial(method, task, shard):
    if method == "none":
        return
    if task in TASKS and TASKS.get(task).smoothed is None:
        suited = ", ".join(one.name for one in TASKS if one.smoothed)
        yield "training.adversarial.method", f"{method} is for the tasks {suited}; received model.task: {task}"
    if shard:
        yield "training.adversarial.method", f"{method} and training.shard exclude each other; set one of them to false"


@_rule("training.adversarial.method", "distillation.teacher")
def _adversarial_teacher(method, teacher):
    if method != "none" and teacher is not None:
        yield "training.adversarial.method", f"{method} and distillation.teacher exclude each other; leave one out"


@_rule("meta.unlabelled", "model.task", "model.adapter", "training.shard")
def _meta(unlabelled, task, adapter, shard):
    if unlabelled is None:
        return
    if task in TASKS and not TASKS.get(task).taught:
        yield "meta.unlabelled", f"is for tasks with classes of whole texts; received model.task: {task}"
    if adapter is not None or shard:
        yield "meta.unlabelled", "excludes model.adapter and training.shard; leave them out"


@_rule("meta.unlabelled", "distillation.teacher")
def _meta_teacher(unlabelled, teacher):
    if unlabelled is not None and teacher is not None:
        yield "meta.unlabelled", "and distillation.teacher exclude each other; leave one out"


@_rule("meta.unlabelled", "training.adversarial.method")
def _meta_adversarial(unlabelled, method):
    if unlabelled is not None and method != "none":
        yield "meta.unlabelled", f"and training.adversarial.method {method} exclude each other; leave one out"


@_rule("optimization.warmup_steps", "optimization.warmup_ratio")
def _warmup(steps, ratio):
    if steps is not None and ratio is not None:
        yield (
            "optimization.warmup_ratio",
            f"and warmup_steps exclude each other; received {ratio} and {steps}; set one to null",
        )


@_rule("optimization.schedule", "optimization.decay", "optimization.halve_after", "optimization.halve_every")
def _schedule(schedule, decay, after, every):
    read = {"decay": ("inverse_epochs", decay), "halve_after": ("halving", after), "halve_every": ("halving", every)}
    for entry, (reader, value) in read.items():
        if schedule == reader and value is None:
            yield f"optimization.{entry}", f"must be given with optimization.schedule: {schedule}"
        if schedule != reader and value is not None:
            yield (
                f"optimization.{entry}",
                f"belongs to optimization.schedule: {reader}; received {schedule}; remove one",
            )


@_rule("optimization.schedule", "optimization.warmup_steps", "optimization.warmup_ratio")
def _rising(schedule, steps, ratio):
    if schedule == "inverse_sqrt" and not (steps or ratio):
        yield (
            "optimization.warmup_steps",
            "or warmup_ratio must be greater than 0 with optimization.schedule: inverse_sqrt, which falls with the "
            "root of the steps since the warm-up's length",
        )


@_rule("training.evaluate_every_steps", "training.evaluate_every_epochs")
def _evaluation(steps, epochs):
    if (steps is None) == (epochs is None):
        yield (
            "training.evaluate_every_steps",
            f"and evaluate_every_epochs: exactly one must be given; received {steps} and {epochs}",
        )


@_rule("training.metric", "model.task")
def _metric(metric, task):
    if task in TASKS and metric not in TASKS.get(task).metrics:
        known = ", ".join(TASKS.get(task).metrics)
        yield "training.metric", f"must be one of {known} for task {task}; received {metric!r}"
