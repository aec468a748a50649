"""Small models, batches and comparisons for the tests of both halves. Nothing here imports a framework."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.adaptation import Plan, initial_values, resolve
from common.backend import IGNORE, Batch, EngineSettings
from common.config.schema import AdaptationConfig, ModelConfig, TargetConfig
from common.errors import InputError
from common.models import ModelSpec, load_model_spec
from common.random import normal

#: seconds after which a process in a test counts as hanging: a guard that nothing that works comes near, on a busy machine either
HANGS = 1200
VOCABULARY, POSITIONS = 60, 32
TINY = {
    "bert": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": POSITIONS,
    },
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": POSITIONS},
}
ONE_LAYER = {
    "bert": {"num_hidden_layers": 1},
    "gpt2": {"n_layer": 1},
}  #: entries for tests of which each compiles graphs
CLASSIFICATION, LANGUAGE = "sequence-classification", "language-modeling"
KINDS = {"bert": ("bert", CLASSIFICATION), "gpt2": ("gpt2", LANGUAGE), "gpt2-classifier": ("gpt2", CLASSIFICATION)}
TARGETS = {"bert": ("*.query", "*.value"), "gpt2": ("*.attn.c_attn[q,v]",), "gpt2-classifier": ("*.attn.c_attn[q,v]",)}


def refusal(action: Callable[[], object]) -> str | None:
    """The message of the InputError that ``action`` ends in, or None where it returns; every other error is a fault and passes through."""
    try:
        action()
    except InputError as error:
        return str(error)
    return None


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and is still listed, until its parent asks, does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def free_port() -> str:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def model_config(kind: str, source: str | None = None, dropout: float | None = 0.0, **entries: Any) -> ModelConfig:
    """The model section of a tiny ``kind`` (a key of KINDS), or of ``source``."""
    family, task = KINDS[kind]
    given = (
        entries
        if source
        else {"model_type": family, "vocab_size": VOCABULARY, "initializer_range": 0.3, **TINY[family], **entries}
    )
    return ModelConfig(source, task, None, dropout, given)


def tiny_spec(kind: str, labels: int = 3, seed: int = 0, dropout: float = 0.0, **entries: Any) -> ModelSpec:
    """A tiny model of which no parameter is zero or one, so that one left out is seen."""
    names = tuple(f"class{i}" for i in range(labels)) if KINDS[kind][1] == CLASSIFICATION else None
    spec = load_model_spec(model_config(kind, dropout=dropout, **entries), names, VOCABULARY, 0, seed)
    shifted = {name: array + normal(seed, f"shift.{name}", array.shape, 0.1) for name, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=shifted)


def plan_for(
    spec: ModelSpec,
    targets: Sequence[str | TargetConfig],
    rank: int = 2,
    alpha: float = 3.0,
    dropout: float = 0.0,
    bias: str = "none",
    **rest: Any,
) -> Plan:
    """A LoRA plan, or that of ``method``."""
    listed = tuple(target if isinstance(target, TargetConfig) else TargetConfig(target) for target in targets)
    settings = {"exclude": (), "rank_stabilized": False, "method": "lora", **rest}
    return resolve(
        AdaptationConfig(targets=listed, rank=rank, alpha=alpha, dropout=dropout, bias=bias, **settings), spec
    )


def nonzero_values(plan: Plan, seed: int = 0, std: float = 0.1) -> dict[str, np.ndarray]:
    """Starting values whose zero half is drawn too: with B = 0 the gradient of A is zero and proves nothing."""
    values = initial_values(plan, seed)
    return {
        name: array if array.any() else normal(seed, f"nonzero.{name}", array.shape, std)
        for name, array in values.items()
    }


def settings(**given: Any) -> EngineSettings:
    """Engine settings; PyNative and eager unless asked otherwise, which needs no compilation."""
    defaults = {
        "weight_decay": 0.01,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "max_grad_norm": 1.0,
        "dtype": "fp32",
        "compile": False,
        "seed": 0,
    }
    return EngineSettings(**{**defaults, **given})


def build_engine(
    half: Any, spec: ModelSpec, plan: Plan, values: Mapping[str, np.ndarray] | None = None, **given: Any
) -> Any:
    """An engine of ``half`` (a backend package) on the CPU."""
    model = half.build_model(spec, half.device.select("cpu"))
    half.rewrite(model, plan, nonzero_values(plan) if values is None else values)
    return half.Engine(model, plan, settings(**given))


def make_batch(
    kind: str,
    lengths: Sequence[int],
    seed: int = 0,
    width: int | None = None,
    vocabulary: int = VOCABULARY,
    labels: int = 3,
) -> Batch:
    """A right-padded batch of random ids with one row per entry of ``lengths``; every class or next token is scored."""
    generator = np.random.default_rng(seed)
    family, task = KINDS[kind]
    shape = (len(lengths), width or max(lengths))
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int32)
    ids = generator.integers(1, vocabulary, shape).astype(np.int32) * mask
    batch = {"input_ids": ids, "attention_mask": mask}
    if family == "bert":
        batch["token_type_ids"] = (generator.integers(0, 2, shape) * mask).astype(np.int32)
    if task == CLASSIFICATION:
        return batch | {"labels": generator.integers(0, labels, len(lengths)).astype(np.int32)}
    next_ids = generator.integers(1, vocabulary, shape).astype(np.int32)
    return batch | {"labels": np.where(mask == 1, next_ids, IGNORE).astype(np.int32)}


def widen(batch: Batch, width: int) -> dict[str, np.ndarray]:
    """The same rows padded further."""
    fill = {"labels": IGNORE}
    grown = {}
    for name, array in batch.items():
        extra = width - array.shape[1] if array.ndim == 2 else 0
        grown[name] = (
            np.pad(array, ((0, 0), (0, extra)), constant_values=fill.get(name, 0)) if array.ndim == 2 else array
        )
    return grown


def rows_of(batch: Batch, rows: slice) -> dict[str, np.ndarray]:
    """Some rows, cut to their longest."""
    part = {name: array[rows] for name, array in batch.items()}
    longest = int(part["attention_mask"].sum(1).max())
    return {name: array[:, :longest] if array.ndim == 2 else array for name, array in part.items()}


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest expected value; infinite where it cannot be said: other shapes, NaN, or nothing but zeros expected."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    largest = np.abs(expected).max(initial=0.0)
    if (
        actual.shape != expected.shape
        or not np.isfinite(actual).all()
        or not np.isfinite(expected).all()
        or largest == 0.0
    ):
        return float("inf")
    return float(np.abs(actual - expected).max()) / float(largest)


def assert_near(
    actual: np.ndarray, expected: np.ndarray, tolerance: float, absolute: bool = False, what: str = ""
) -> None:
    """Compare values of equal shape, all finite, not all zero."""
    error = relative_error(actual, expected)
    if absolute and np.isfinite(error):
        error *= float(np.abs(expected).max())
    assert error <= tolerance, f"{what}: error {error:.3g} exceeds {tolerance:g}"


def assert_all_near(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], tolerance: float) -> None:
    """Compare named arrays: the same names, at least one, and every array near."""
    assert set(actual) == set(expected), f"names differ: {sorted(set(actual) ^ set(expected))}"
    assert expected, "nothing to compare"
    for name in expected:
        assert_near(actual[name], expected[name], tolerance, what=name)


def assert_identical(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Compare named finite arrays bit by bit."""
    assert set(actual) == set(expected), f"names differ: {sorted(set(actual) ^ set(expected))}"
    assert expected, "nothing to compare"
    for name in expected:
        first, second = np.asarray(actual[name]), np.asarray(expected[name])
        assert np.isfinite(first).all(), f"{name} is not finite"
        assert (first.dtype, first.shape, first.tobytes()) == (second.dtype, second.shape, second.tobytes()), (
            f"{name} differs"
        )


def shared_experiment(name: str, model: Any, data: Any, *overrides: str) -> Any:
    """A shipped experiment on local files."""
    from common.config import load_config

    return load_config(name, [f"model.source={model}", f"data.directory={data}", *overrides])
