"""The sentence classifiers on words: each backend against NumPy in float64, both against each other, padding, and
tables that stay as they start."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest

from common.backend import load
from common.config.schema import ModelConfig
from common.errors import InputError
from common.models import FAMILIES
from common.models.family import INPUT_IDS
from common.models.loading import load_model_spec
from common.models.words import WordFamily
from common.random import normal
from common.tasks.example import example_batch
from tests.support import assert_all_near, assert_identical, assert_near, build_engine, plan_for, widen
from tests.tolerances import FAMILY, GRADIENT, PADDING_ABS, STEP_LOSS

VOCABULARY, LABELS = 40, ("a", "b", "c")
CLASSIFIERS = [
    family.name
    for family in FAMILIES
    if isinstance(family, WordFamily) and INPUT_IDS in family.INPUTS and family.head("sequence", family.DEFAULTS)
]
LENGTHS = (9, 1, 4, 7)


def spec_of(family, dropout=0.0, **entries):
    """A small network of which no parameter but the padding's row is 0, and no variance near it."""
    sizes = {"model_type": family, "vocab_size": VOCABULARY, **FAMILIES.get(family).tiny(hidden=8, inner=6)}
    config = ModelConfig(None, "sequence-classification", None, dropout, {**sizes, **entries})
    spec = load_model_spec(config, LABELS, VOCABULARY, 0, 3)
    shifted = {name: array + normal(1, name, array.shape, 0.1) for name, array in spec.arrays.items()}
    for name, array in shifted.items():
        if "embeddings" in name:
            array[0] = 0.0
    return dataclasses.replace(spec, arrays=shifted)


def batch_of(spec, seed=0, width=12):
    return example_batch(spec, LENGTHS, f"words|{spec.family}|{seed}", width)


def engine_of(backend, spec, **given):
    return build_engine(backend, spec, plan_for(spec, method="full"), **given)


def logits_of(backend, spec, batch):
    return engine_of(backend, spec).eval_step(batch).outputs["logits"]


# Against NumPy


def convolution(x, weight, bias):
    """``(seq, in)`` by ``(out, in, k)``: every window that lies inside."""
    size = weight.shape[2]
    windows = [x[start : start + size].T for start in range(len(x) - size + 1)]
    return np.stack([np.tensordot(weight, window, 2) for window in windows]) + bias


def norm(x, weight, bias):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight + bias


class Oracle:
    """One text after the other, cut to its words."""

    def __init__(self, spec):
        self.config, self.prefix = spec.config, FAMILIES.get(spec.family).prefix
        self.arrays = {name: array.astype(np.float64) for name, array in spec.arrays.items()}

    def of(self, path, inside=True):
        start = f"{self.prefix}.{path}" if inside else path
        return self.arrays[f"{start}.weight"], self.arrays[f"{start}.bias"]

    def windows(self, x, sizes, before):
        found = []
        for index, size in enumerate(sizes):
            padded = np.pad(x, ((before * (size - 1), size - 1), (0, 0)))
            answers = np.maximum(convolution(padded, *self.of(f"windows.convolutions.{index}")), 0)
            found.append(answers.max(0))
        return np.concatenate(found)

    def condensed(self, x):
        weight, bias = self.of("condensed.linear")
        return norm(weight @ norm(x, *self.of("condensed.norm")) + bias, *self.of("condensed.output_norm"))

    def trunk(self, x, slope):
        def act(y):
            return np.where(y > 0, y, slope * y)

        levels, last = self.config["kernel_sizes"], [x]
        for column in range(len(levels[0])):
            known = []
            for index, sizes in enumerate(levels):
                reach = sizes[column] // 2
                given = np.concatenate(known, 1) if known else x
                padded = np.pad(given, ((reach, reach), (0, 0)))
                known.append(act(convolution(padded, *self.of(f"trunk.columns.{column}.levels.{index}"))))
            last.append(known[-1])
        return act(convolution(np.concatenate(last, 1), *self.of("trunk.mix")))

    def attention(self, x, slope=0.01):
        weight, bias = self.of("attention.projection")
        heads, size = self.config["attention_heads"], self.config["attention_size"]
        hidden = x @ weight.T + bias
        hidden = np.where(hidden > 0, hidden, slope * hidden).reshape(len(x), heads, size)
        found = []
        for head in range(heads):
            h, q = hidden[:, head], np.zeros(len(x))
            for _ in range(self.config["attention_steps"]):
                a = np.exp(q - q.max()) / np.exp(q - q.max()).sum()
                z = np.tanh(a @ h)
                q = q + h @ z
            found.append(z)
        return np.concatenate(found)

    def logits(self, ids):
        x = self.arrays[f"{self.prefix}.embeddings.weight"][ids]
        if self.config["embedding"] == "multichannel":
            still = self.arrays[f"{self.prefix}.static_embeddings.weight"][ids]
            assert not np.allclose(still, x)
            x = x + still
        features = getattr(self, f"_{self.prefix}")(x)
        weight, bias = self.of("classifier", inside=False)
        if self.prefix != "gaussian_nb":
            return weight @ features + bias
        variance, mean = np.abs(weight) + 1e-6, self.arrays["classifier.mean"]
        densities = np.exp(-((features - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        return np.log(densities).sum(1) + bias - np.log(np.exp(bias).sum())

    def _textcnn(self, x):
        return self.windows(x, self.config["kernel_sizes"], before=1)

    def _cnn_classifier(self, x):
        return self.condensed(self.windows(x, self.config["kernel_sizes"], before=0))

    def _densenet_cnn(self, x):
        states = norm(self.trunk(x, 0.0), *self.of("trunk_norm"))
        return self.condensed(self.windows(states, self.config["window_sizes"], before=0))

    def _densenet_dsa(self, x):
        return self.condensed(self.attention(self.trunk(x, 0.01)))

    def _gaussian_nb(self, x):
        return x.max(0)


NETWORKS = [*((family, {}) for family in CLASSIFIERS), ("textcnn", {"embedding": "multichannel"})]


@pytest.mark.parametrize(("family", "entries"), NETWORKS, ids=lambda value: value if isinstance(value, str) else "")
def test_logits_are_those_of_the_definition_in_float64(backend, family, entries):
    spec = spec_of(family, **entries)
    batch, oracle = batch_of(spec), Oracle(spec)
    expected = [oracle.logits(ids[:length]) for ids, length in zip(batch["input_ids"], LENGTHS, strict=True)]
    assert_near(logits_of(backend, spec, batch), np.stack(expected), FAMILY)


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_more_padding_changes_nothing(backend, family):
    spec = spec_of(family)
    batch = batch_of(spec)
    short, wide = (logits_of(backend, spec, given) for given in (batch, widen(batch, 20)))
    assert_near(wide, short, PADDING_ABS, absolute=True)


# Both backends


def both(spec, **given):
    return [engine_of(load(name), spec, **given) for name in ("pytorch", "mindspore")]


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(
    "family",
    [
        family if family in ("textcnn", "densenet-dsa") else pytest.param(family, marks=pytest.mark.nightly)
        for family in CLASSIFIERS
    ],
)
def test_every_gradient_agrees(family):
    spec = spec_of(family)
    expected, actual = (engine.gradients([batch_of(spec, 1), batch_of(spec, 2)]) for engine in both(spec))
    assert_all_near(actual, expected, GRADIENT)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(
    ("family", "steps"),
    [
        ("gaussian-nb", 8),
        *(pytest.param(family, 50, marks=pytest.mark.nightly) for family in CLASSIFIERS),
    ],
)
def test_losses_agree_with_dropout(family, steps):
    """At the learning rate of the experiments. At five times as much, torch's 50th loss in float32 is 5e-5 from that in
    float64."""
    spec = spec_of(family, dropout=0.4)
    engines = both(spec)
    found = []
    for engine in engines:
        handles = [engine.train_step([batch_of(spec, step % 2)], 1e-3) for step in range(steps)]
        pairs = zip(engine.fetch(handles), handles, strict=True)
        found.append(np.array([loss / handle.count for (loss, _), handle in pairs]))
    for ours, theirs in zip(found[1], found[0], strict=True):
        assert_near(ours, theirs, STEP_LOSS)
    assert found[0][-2:].mean() < found[0][:2].mean()  # the same two batches


@pytest.mark.parametrize(
    ("family", "embedding"),
    [("textcnn", "multichannel"), ("cnn-classifier", "static")],
)
def test_a_table_that_stays_is_the_same_to_the_bit_and_the_others_move(backend, family, embedding):
    spec = spec_of(family, embedding=embedding)
    engine = engine_of(backend, spec)
    names = {name: array.shape for name, array in spec.arrays.items()}
    for step in range(3):
        engine.train_step([batch_of(spec, step)], 1e-2)
    parity = importlib.import_module(f"{backend.__name__}.parity")
    after = parity.trained(engine.model, names)
    still = {name for name in names if name in spec.frozen}
    assert len(still) == 1
    assert_identical({name: after[name] for name in still}, {name: spec.arrays[name] for name in still})
    assert all(not np.array_equal(after[name], spec.arrays[name]) for name in names if name not in still)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(
    ("family", "targets"),
    [
        ("textcnn", ("*.embeddings", "*.convolutions.1")),
        pytest.param("densenet-dsa", ("*.projection", "*.levels.0", "*.linear"), marks=pytest.mark.nightly),
    ],
)
def test_adapters_of_tables_convolutions_and_linear_layers_agree(family, targets):
    spec = spec_of(family)
    plan = plan_for(spec, targets)
    assert {edit.module.kind.name for edit in plan.edits} >= {"convolution"}
    engines = [build_engine(load(name), spec, plan) for name in ("pytorch", "mindspore")]
    expected, actual = (engine.eval_step(batch_of(spec)).outputs["logits"] for engine in engines)
    plain = logits_of(load("pytorch"), spec, batch_of(spec))
    assert np.abs(expected - plain).max() > 1e-3
    assert_near(actual, expected, FAMILY)
    first, second = (engine.gradients([batch_of(spec)]) for engine in engines)
    assert_all_near(second, first, GRADIENT)


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_prompts_are_refused_with_the_reason(family):
    with pytest.raises(InputError, match=r"network has none"):
        plan_for(spec_of(family), method="prompt", tokens=2)
