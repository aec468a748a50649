"""What the suites of models and of training compute on: small networks drawn from counters, or a user's own
experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

import numpy as np

from common.api_mapping.arrays import draw, integers, normal
from common.backend import Batch, Engine, EngineSettings
from common.compression import TRANSFORMS, Transform
from common.config import ExperimentConfig, optimization_options
from common.config.schema import ModelConfig
from common.errors import InputError
from common.methods import METHODS, Method, MethodOptions
from common.methods.plan import Plan
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.models.specs import ModelSpec
from common.parity.cases import Arrays, Host, UnsupportedError
from common.tasks import TASKS
from common.tasks.example import example_batch

__all__ = ["Subject", "drawn", "methods", "of_experiment", "pairs", "settings_of", "suits", "transformable"]

VOCABULARY, POSITIONS = 211, 64
_SIZES = {"hidden": 64, "layers": 4, "heads": 4, "inner": 128, "positions": POSITIONS}
_SETTINGS = EngineSettings(optimization_options(weight_decay=0.01), "fp32", None, 0)


@dataclass(frozen=True)
class Subject:
    """A model, what is adapted of it and with which values, and the micro-batches of every step."""

    spec: ModelSpec
    plan: Plan
    values: Mapping[str, np.ndarray]
    steps: tuple[tuple[Batch, ...], ...]
    settings: EngineSettings = _SETTINGS

    def inputs(self) -> Arrays:
        """Everything that is computed from, by name."""
        batches = {
            f"step {s}.{b}/{name}": array
            for s, step in enumerate(self.steps)
            for b, batch in enumerate(step)
            for name, array in batch.items()
        }
        return (
            {f"model/{name}": array for name, array in self.spec.arrays.items()}
            | {f"adapter/{name}": array for name, array in self.values.items()}
            | batches
        )

    def engine(self, host: Host) -> tuple[object, Engine]:
        """The adapted model on the host, and its engine. Raises UnsupportedError where the backend does not compute in
        the wanted dtype."""
        if host.double and host.backend != "pytorch":
            raise UnsupportedError("a float64 reference is computed in PyTorch")
        model = host.package.build_model(self.spec, host.device)
        host.package.rewrite(model, self.plan, self.values)
        settings = dataclasses.replace(
            self.settings, dtype="fp64" if host.double else self.settings.dtype, compile=host.compile
        )
        return model, host.package.Engine(model, self.plan, settings)


def pairs() -> tuple[tuple[str, str], ...]:
    """Every family with every task that it has a head for."""
    found = []
    for family in FAMILIES:
        found += [(family.name, task.name) for task in TASKS if task.layout(family, _tiny(family.name)) is not None]
    return tuple(found)


def suits(method: Method, family: str, task: str) -> bool:
    """Whether a model of ``family`` for ``task`` has what the method trains: a new head, modules of a kind."""
    layout = TASKS.get(task).layout(FAMILIES.get(family), _tiny(family))
    has_head = layout is not None and bool(layout.new())
    return method.suits(FAMILIES.get(family).backbone(_tiny(family)).modules) and (has_head or not method.needs_head)


def transformable(transform: Transform, family: str) -> bool:
    """Whether a model of ``family`` can be transformed so."""
    return transform.suits(FAMILIES.get(family), _tiny(family))


def methods(family: str) -> dict[str, MethodOptions]:
    """Every method that has something to edit in ``family``, with its example options."""
    modules = FAMILIES.get(family).backbone(_tiny(family)).modules
    return {method.name: method.example(FAMILIES.get(family).TARGETS) for method in METHODS if method.suits(modules)}


def _tiny(family: str) -> dict[str, Any]:
    return {**FAMILIES.get(family).DEFAULTS, **FAMILIES.get(family).tiny(**_SIZES)}


def drawn(
    family: str,
    task: str,
    options: MethodOptions,
    steps: int = 1,
    dropout: float = 0.0,
    repeat: int = 4,
    transform: str | None = None,
) -> Subject:
    """A small network with every value a function of its name; ``repeat`` different steps come again and again.

    Args:
        transform: gives the network its structure; its values are drawn as ever, so that they are the same on every
            machine.
    """
    kind = f"{family}|{task}"
    entries = {"model_type": family, "vocab_size": VOCABULARY, **FAMILIES.get(family).tiny(**_SIZES)}
    labels = TASKS.get(task).example_labels()
    padding = FAMILIES.get(family).DEFAULTS.get("pad_token_id") or 0
    spec = load_model_spec(ModelConfig(None, task, None, dropout, entries), labels, VOCABULARY, padding, 0)
    if transform is not None:
        member = TRANSFORMS.get(transform)
        spec, _ = member.apply(spec, member.example(FAMILIES.get(family).TARGETS))
    fixed = {module.path for module in spec.modules if module.dtypes}  # integers and their scales
    arrays = {
        name: array if name.rpartition(".")[0] in fixed else _parameter(kind, name, array)
        for name, array in spec.arrays.items()
    }
    spec = dataclasses.replace(spec, arrays=arrays)
    plan = METHODS.get(options.method).plan(options, spec)
    different = [tuple(_batch(spec, kind, step, part) for part in range(2)) for step in range(repeat)]
    stream = tuple(different[step % repeat] for step in range(steps))
    return Subject(spec, plan, _nonzero(plan.initial_values(0)), stream)


def of_experiment(config: ExperimentConfig, steps: int, dropout: bool, published_start: bool = True) -> Subject:
    """The user's experiment: its model, data, order of batches and settings.

    Args:
        dropout: keep its dropout; else every probability is 0.
        published_start: start from LoRA's own values, where half of them are zero; else from none that is zero.
    """
    from common.data import BatchPlan
    from common.training.assembly import encode_split, engine_settings, prepare

    if config.distillation.teacher is not None:
        raise InputError(
            "A parity suite computes an experiment without a teacher's outputs. Leave out distillation: --set "
            "distillation.teacher=null."
        )
    if not dropout:
        quiet: Any = config.adaptation
        if hasattr(quiet, "dropout"):
            quiet = dataclasses.replace(quiet, dropout=0.0)
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, dropout=0.0), adaptation=quiet)
    given = prepare(config)
    training = config.training
    batches = BatchPlan(
        encode_split(given, "train"),
        training.global_batch_size,
        training.micro_batch_size,
        config.data.length_multiple,
        config.seed,
    )
    stream: Iterator[Sequence[Batch]] = chain.from_iterable(batches.epoch(epoch) for epoch in count())
    values = given.plan.initial_values(config.seed)
    return Subject(
        given.spec,
        given.plan,
        values if published_start else _nonzero(values),
        tuple(map(tuple, islice(stream, steps))),
        engine_settings(config),
    )


def settings_of(config: ExperimentConfig) -> str:
    """What besides the inputs decides an experiment's numbers; not how a host computes them, its dtype for one."""
    training = config.training.epochs, config.training.adversarial
    return repr((config.seed, config.model.dropout, config.adaptation, config.optimization, training))


def _parameter(kind: str, name: str, like: np.ndarray) -> np.ndarray:
    """Deviation 1/8 about what the parameter usually starts at; exact in float32."""
    base = 1.0 if like.ndim == 1 and name.endswith("weight") else 0.0
    return (base + draw(normal(*like.shape), f"{kind}|{name}") * np.float32(0.125)).astype(np.float32)


def _nonzero(values: Mapping[str, np.ndarray]) -> Arrays:
    """With B = 0 the gradient of A is zero and proves nothing."""
    return {
        name: array if array.any() else draw(normal(*array.shape), f"nonzero|{name}") * np.float32(2.0**-5)
        for name, array in values.items()
    }


def _batch(spec: ModelSpec, kind: str, step: int, part: int) -> Batch:
    rows, width = 6, 16
    lengths = draw(integers(rows, low=2, high=width + 1), f"{kind}|{step}.{part}|lengths")
    lengths[0] = width
    return example_batch(spec, lengths.tolist(), f"{kind}|{step}.{part}", width)
