"""Heads that may stand on every encoder: what they compute, both backends alike, padding, files, and what is
refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.config.schema import ModelConfig
from common.data.tokenizer_training import train_tokenizer
from common.errors import InputError
from common.models import FAMILIES
from common.models.checkpoint import save_pretrained
from common.models.family import LAST, POOLED
from common.models.loading import load_model_spec
from common.random import normal
from common.readouts import READOUTS
from common.readouts.readout import bare
from common.tasks.example import example_batch
from common.training.opening import open_model
from tests.support import assert_all_near, assert_identical, assert_near, build_engine, plan_for, widen
from tests.tolerances import FAMILY, GRADIENT, PADDING_ABS, STEP_LOSS

VOCABULARY, LABELS, LENGTHS = 50, ("a", "b", "c"), (9, 1, 12, 5)
ENCODERS = [
    family.name
    for family in FAMILIES
    if (head := family.head("sequence", {**family.DEFAULTS, **family.tiny()})) and head.position != POOLED
]
OPTIONS = {
    "cls": {},
    "cnn": {"kernel_sizes": [2, 3], "filters": 6, "condensed_size": 5},
    "densenet_cnn": {
        "kernel_sizes": [[1, 1], [3, 3], [3, 5]],
        "first_filters": 6,
        "filters": 4,
        "trunk_size": 7,
        "window_sizes": [2, 3],
        "window_filters": 6,
        "condensed_size": 5,
    },
}
ON_STATES = [
    (family, head) if (family, head) in (("bert", "cnn"), ("gpt2", "cls")) else nightly
    for family in ("bert", "gpt2")
    for head in OPTIONS
    for nightly in [pytest.param(family, head, marks=pytest.mark.nightly)]
]


def spec_of(family, head, dropout=0.0, source=None, **task_options):
    """A small network of which no parameter has its start value."""
    entries = {"model_type": family, "vocab_size": VOCABULARY, **FAMILIES.get(family).tiny()}
    options = {"head": head, "head_options": OPTIONS[head], **task_options}
    config = ModelConfig(source, "sequence-classification", None, dropout, {} if source else entries, options)
    padding = FAMILIES.get(family).DEFAULTS.get("pad_token_id") or 0
    spec = load_model_spec(config, LABELS, VOCABULARY, padding, 3)
    if source is not None:
        return spec
    shifted = {name: array + normal(1, name, array.shape, 0.1) for name, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=shifted)


def batch_of(spec, seed=0, width=14):
    return example_batch(spec, LENGTHS, f"readouts|{spec.family}|{seed}", width)


def engine_of(backend, spec, **given):
    return build_engine(backend, spec, plan_for(spec, method="full"), **given)


def logits_of(backend, spec, batch):
    return engine_of(backend, spec).eval_step(batch).outputs["logits"]


# The definition, from the states of the encoder


def norm(x, arrays, path):
    scale, shift = arrays[f"{path}.weight"], arrays[f"{path}.bias"]
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale + shift


def read_by_cls(arrays, states, spec):
    return states[-1 if spec.layout.position == LAST else 0]


def convolution(x, arrays, path, before, behind):
    """``(seq, in)`` with so many zeros at its ends."""
    weight, bias = arrays[f"{path}.weight"], arrays[f"{path}.bias"]
    padded = np.pad(x, ((before, behind), (0, 0)))
    size = weight.shape[2]
    return np.stack([np.tensordot(weight, padded[i : i + size].T, 2) + bias for i in range(len(padded) - size + 1)])


def read_by_cnn(arrays, states, spec, path="cnn", sizes=OPTIONS["cnn"]["kernel_sizes"]):
    answers = [convolution(states, arrays, f"{path}.windows.convolutions.{i}", 0, k - 1) for i, k in enumerate(sizes)]
    found = np.concatenate([np.maximum(answer, 0).max(0) for answer in answers])
    x = norm(found, arrays, f"{path}.condensed.norm")
    x = arrays[f"{path}.condensed.linear.weight"] @ x + arrays[f"{path}.condensed.linear.bias"]
    return norm(x, arrays, f"{path}.condensed.output_norm")


def read_by_densenet_cnn(arrays, states, spec):
    options, last = OPTIONS["densenet_cnn"], [states]
    for column in range(2):
        known = []
        for index, sizes in enumerate(options["kernel_sizes"]):
            reach, given = sizes[column] // 2, np.concatenate(known, 1) if known else states
            path = f"densenet_cnn.trunk.columns.{column}.levels.{index}"
            known.append(np.maximum(convolution(given, arrays, path, reach, reach), 0))
        last.append(known[-1])
    mixed = np.maximum(convolution(np.concatenate(last, 1), arrays, "densenet_cnn.trunk.mix", 0, 0), 0)
    x = norm(mixed, arrays, "densenet_cnn.trunk_norm")
    return read_by_cnn(arrays, x, spec, "densenet_cnn", options["window_sizes"])


@pytest.mark.parametrize(("family", "head"), ON_STATES)
def test_logits_are_those_of_the_definition_on_the_encoders_states(backend, family, head):
    spec = spec_of(family, head)
    engine, batch = engine_of(backend, spec), batch_of(spec)
    forward = __import__(f"{backend.__name__}.parity", fromlist=["x"]).forward
    names = [field.name for field in FAMILIES.get(family).INPUTS]
    hidden = forward(engine.model, {name: batch[name] for name in names})
    last = hidden[max(name for name in hidden if name.startswith("hidden/"))].astype(np.float64)
    arrays = {name: array.astype(np.float64) for name, array in spec.arrays.items()}
    read = {"cls": read_by_cls, "cnn": read_by_cnn, "densenet_cnn": read_by_densenet_cnn}[head]
    features = np.stack([read(arrays, states[:length], spec) for states, length in zip(last, LENGTHS, strict=True)])
    expected = features @ arrays["classifier.weight"].T + arrays["classifier.bias"]
    assert_near(engine.eval_step(batch).outputs["logits"], expected, FAMILY)


def test_the_definitions_cover_every_head():
    assert set(READOUTS.names()) == set(OPTIONS)


@pytest.mark.parametrize(("family", "head"), ON_STATES)
def test_more_padding_changes_nothing(backend, family, head):
    spec = spec_of(family, head)
    batch = batch_of(spec)
    wide = widen(batch, 24)
    wide["input_ids"][wide["attention_mask"] == 0] = 17
    assert_near(logits_of(backend, spec, wide), logits_of(backend, spec, batch), PADDING_ABS, absolute=True)


# Both backends

COMPARED = [
    (family, head) if (family, head) == ("bert", "cnn") else pytest.param(family, head, marks=pytest.mark.nightly)
    for family in ENCODERS
    for head in OPTIONS
]


def both(spec, **given):
    return [engine_of(load(name), spec, **given) for name in ("pytorch", "mindspore")]


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(("family", "head"), COMPARED)
def test_gradients_and_losses_with_dropout_agree(family, head):
    spec = spec_of(family, head, dropout=0.2)
    engines = both(spec)
    expected, actual = (engine.gradients([batch_of(spec, 1)]) for engine in engines)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    real = {name for name, gradient in expected.items() if np.abs(gradient).max() > 1e-5 * largest}
    assert_all_near({n: actual[n] for n in real}, {n: expected[n] for n in real}, 5 * GRADIENT)
    found = []
    for engine in engines:
        handles = [engine.train_step([batch_of(spec, step)], 1e-2) for step in range(4)]
        found.append(np.array([loss for loss, _ in engine.fetch(handles)]))
    assert_near(found[1], found[0], STEP_LOSS)


# Files


@pytest.mark.parametrize("head", OPTIONS)
@pytest.mark.parametrize("family", [ENCODERS[0], *(pytest.param(f, marks=pytest.mark.nightly) for f in ENCODERS[1:])])
def test_a_network_is_saved_and_loaded_exactly(tmp_path, family, head):
    spec = spec_of(family, head)
    save_pretrained(tmp_path, spec, spec.arrays)
    again = spec_of(family, head, source=str(tmp_path))
    assert_identical(again.arrays, spec.arrays)
    assert again.new_parameters == ()
    assert again.layout == spec.layout


@pytest.mark.parametrize("options", [{"head": "cnn"}, {"loss": "isomax"}], ids=["cnn", "isomax"])
def test_a_folder_says_which_head_it_has(tmp_path, options):
    tokenizer = train_tokenizer("wordpiece:60", ["some words to be known"])
    tokenizer.save_pretrained(tmp_path)
    entries = {"model_type": "bert", **FAMILIES.get("bert").tiny()}
    config = ModelConfig(None, "sequence-classification", None, None, entries, options)
    spec = load_model_spec(config, LABELS, len(tokenizer), 0, 3)
    save_pretrained(tmp_path, spec, spec.arrays)
    opened = open_model(tmp_path).spec
    assert opened.layout == spec.layout
    assert opened.new_parameters == ()
    assert_identical(opened.arrays, spec.arrays)


@pytest.mark.needs_pytorch
def test_transformers_loads_the_encoder_under_the_head(tmp_path):
    transformers = pytest.importorskip("transformers")
    spec = spec_of("bert", "cnn")
    save_pretrained(tmp_path, spec, spec.arrays)
    model = transformers.AutoModel.from_pretrained(tmp_path)
    assert type(model).__name__ == spec.config["architectures"][0] == "BertModel"
    ours = spec.arrays["bert.encoder.layer.0.output.dense.weight"]
    assert model.state_dict()["encoder.layer.0.output.dense.weight"].numpy().tobytes() == ours.tobytes()


# Refusals


def test_a_network_that_gives_one_vector_has_no_states_to_read():
    config = ModelConfig(None, "sequence-classification", None, None, {"model_type": "textcnn"}, {"head": "cnn"})
    with pytest.raises(
        InputError, match="head: cnn reads the states of an encoder; a textcnn network gives one vector"
    ):
        load_model_spec(config, LABELS, VOCABULARY, 0, 0)


WRONG = {
    "nearest": ({"head": "cn"}, "must be one of .*cnn.*; received 'cn'"),
    "no head": ({"head_options": {"filters": 3}}, "head_options belongs to a head"),
    "unknown entry": ({"head": "cls", "head_options": {"filters": 3}}, "head_options.filters is unknown"),
    "wrong type": ({"head": "cnn", "head_options": {"filters": "x"}}, "filters must be a whole number"),
    "out of range": ({"head": "cnn", "head_options": {"kernel_sizes": [0]}}, "integers greater than 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_options_that_do_not_fit_are_refused(case):
    from common.tasks import TASKS

    options, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        TASKS.get("sequence-classification").configured(options)


def test_the_network_without_a_head_has_transformers_name():
    transformers = pytest.importorskip("transformers")
    for family in FAMILIES:
        head = family.head("sequence", {**family.DEFAULTS, **family.tiny()})
        if head is not None and hasattr(transformers, head.architecture):
            assert hasattr(transformers, bare(head.architecture))
