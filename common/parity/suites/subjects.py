"""What the suites of models and of training compute on: small networks drawn from counters, or a user's own experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np

from common.adaptation import Plan, initial_values, resolve
from common.api_mapping.arrays import draw, integers, normal
from common.backend import IGNORE, Batch, Engine, EngineSettings
from common.config import ExperimentConfig
from common.config.schema import AdaptationConfig, ModelConfig, TargetConfig
from common.models import ModelSpec, load_model_spec
from common.parity.cases import Arrays, Host, UnsupportedError

__all__ = ["KINDS", "Subject", "drawn", "of_experiment"]

VOCABULARY, POSITIONS, LABELS = 211, 64, 3
KINDS = {
    "bert": ("bert", "sequence-classification", ("*.query", "*.value")),
    "gpt2": ("gpt2", "language-modeling", ("*.attn.c_attn[q,v]",)),
    "gpt2-classifier": ("gpt2", "sequence-classification", ("*.attn.c_attn[q,v]",)),
}
_SIZES = {
    "bert": {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": POSITIONS,
    },
    "gpt2": {"n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": POSITIONS},
}
_SETTINGS = EngineSettings(0.01, 0.9, 0.999, 1e-8, 1.0, "fp32", None, 0)


@dataclass(frozen=True)
class Subject:
    """A model, what is adapted of it and with which values, and the micro-batches of every step."""

    spec: ModelSpec
    plan: Plan
    values: Arrays
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
        """The adapted model on the host, and its engine. Raises UnsupportedError where the half does not compute in the wanted dtype."""
        if host.double and host.backend != "pytorch":
            raise UnsupportedError("a float64 reference is computed in PyTorch")
        model = host.half.build_model(self.spec, host.device)
        host.half.rewrite(model, self.plan, self.values)
        settings = dataclasses.replace(
            self.settings, dtype="fp64" if host.double else self.settings.dtype, compile=host.compile
        )
        return model, host.half.Engine(model, self.plan, settings)


def drawn(kind: str, method: str = "lora", steps: int = 1, dropout: float = 0.0, repeat: int = 4) -> Subject:
    """A small network of ``kind`` with every value drawn from counters; ``repeat`` different steps come again and again."""
    family, task, targets = KINDS[kind]
    names = tuple(f"class{i}" for i in range(LABELS)) if task == "sequence-classification" else None
    config = ModelConfig(None, task, None, dropout, {"model_type": family, "vocab_size": VOCABULARY, **_SIZES[family]})
    spec = load_model_spec(config, names, VOCABULARY, 0, 0)
    spec = dataclasses.replace(
        spec, arrays={name: _parameter(kind, name, array) for name, array in spec.arrays.items()}
    )
    adaptation = AdaptationConfig(
        method, tuple(map(TargetConfig, targets)) if method == "lora" else (), (), 8, 16.0, dropout, False, "none"
    )
    plan = resolve(adaptation, spec)
    values = {} if method == "full" else _nonzero(initial_values(plan, 0))
    different = [tuple(_batch(kind, step, part) for part in range(2)) for step in range(repeat)]
    return Subject(spec, plan, values, tuple(different[step % repeat] for step in range(steps)))


def of_experiment(config: ExperimentConfig, steps: int, dropout: bool, published_start: bool = True) -> Subject:
    """The user's experiment: its model, data, order of batches and settings.

    Args:
        dropout: keep its dropout; else every probability is 0.
        published_start: start from LoRA's own values, where half of them are zero; else from none that is zero.
    """
    from common.data import BatchPlan
    from common.training.assembly import encode_split, engine_settings, prepare

    if not dropout:
        quiet = dataclasses.replace(config.adaptation, dropout=0.0)
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
    values = initial_values(given.plan, config.seed)
    return Subject(
        given.spec,
        given.plan,
        values if published_start else _nonzero(values),
        tuple(map(tuple, islice(stream, steps))),
        engine_settings(config),
    )


def _parameter(kind: str, name: str, like: np.ndarray) -> np.ndarray:
    """Deviation 1/8 about what the parameter usually starts at; exact in float32."""
    base = 1.0 if like.ndim == 1 and name.endswith("weight") else 0.0
    return (base + draw(normal(*like.shape), f"{kind}|{name}") * np.float32(0.125)).astype(np.float32)


def _nonzero(values: Arrays) -> Arrays:
    """With B = 0 the gradient of A is zero and proves nothing."""
    return {
        name: array if array.any() else draw(normal(*array.shape), f"nonzero|{name}") * np.float32(2.0**-5)
        for name, array in values.items()
    }


def _batch(kind: str, step: int, part: int) -> Batch:
    family, task, _ = KINDS[kind]
    rows, width = 6, 16
    lengths = draw(integers(rows, low=2, high=width + 1), f"{kind}|{step}.{part}|lengths")
    lengths[0] = width
    mask = (np.arange(width) < lengths[:, None]).astype(np.int32)
    ids = draw(integers(rows, width + 1, low=1, high=VOCABULARY, dtype="int32"), f"{kind}|{step}.{part}|ids")
    batch = {"input_ids": ids[:, :-1] * mask, "attention_mask": mask}
    if family == "bert":
        batch["token_type_ids"] = (
            draw(integers(rows, width, low=0, high=2, dtype="int32"), f"{kind}|{step}.{part}|types") * mask
        )
    if task == "language-modeling":
        return batch | {"labels": np.where(mask == 1, ids[:, 1:], IGNORE).astype(np.int32)}
    return batch | {"labels": draw(integers(rows, low=0, high=LABELS, dtype="int32"), f"{kind}|{step}.{part}|labels")}
