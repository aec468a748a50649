"""The tagger and recurrent networks: both backends compute the same, in training too, and padding changes nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.config.schema import ModelConfig
from common.errors import InputError
from common.exporting.export import unexportable
from common.models import FAMILIES
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.random import normal
from common.tasks import TASKS
from common.tasks.example import example_batch
from tests.support import assert_identical, assert_near, build_engine, nonzero_values, plan_for, widen
from tests.tolerances import GRADIENT, PADDING_ABS, STEP_LOSS

VOCABULARY, LENGTHS = 40, (9, 1, 4, 7)
CHAINS, MUSIC, TEXT = "crf-tagging", "polyphonic-music", "language-modeling"
NETWORKS = {
    "tagger": ("bilstm-cnn", CHAINS, {"character_filters": 5, "character_size": 4}),
    "words": ("bilstm-cnn", "token-classification", {"character_filters": 0, "num_layers": 2}),
    "music": ("rnn", MUSIC, {"cell": "gru"}),
    "text": ("rnn", TEXT, {"cell": "tanh", "num_layers": 2}),
    "chain": ("bert", CHAINS, {}),
}
USUAL = ("tagger", "music")  #: in every run; the others in the nightly one
CASES = [name if name in USUAL else pytest.param(name, marks=pytest.mark.nightly) for name in NETWORKS]


def spec_of(name, dropout=0.0, **entries):
    """A small network of which no parameter is 0."""
    family, task, own = NETWORKS[name]
    sizes = {"model_type": family, "vocab_size": VOCABULARY, **FAMILIES.get(family).tiny(hidden=8, inner=6, layers=1)}
    config = ModelConfig(None, task, None, dropout, {**sizes, **own, **entries})
    spec = load_model_spec(config, TASKS.get(task).example_labels(), VOCABULARY, 0, 3)
    shifted = {key: array + normal(1, key, array.shape, 0.1) for key, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=shifted)


def batch_of(spec, seed=0, width=12):
    return example_batch(spec, LENGTHS, f"taggers|{spec.family}|{seed}", width)


def engine_of(backend, spec, **given):
    return build_engine(backend, spec, plan_for(spec, method="full"), {}, **given)


def both(spec, **given):
    return [engine_of(load(name), spec, **given) for name in ("pytorch", "mindspore")]


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("name", CASES)
def test_outputs_losses_and_every_gradient_agree(name):
    spec = spec_of(name)
    expected, actual = both(spec)
    theirs, ours = (engine.eval_step(batch_of(spec)) for engine in (expected, actual))
    assert ours.count == theirs.count
    assert ours.loss_sum == pytest.approx(theirs.loss_sum, rel=1e-5)
    for output, array in theirs.outputs.items():
        assert_near(ours.outputs[output], array, 1e-5)
    theirs, ours = (engine.gradients([batch_of(spec, 1), batch_of(spec, 2)]) for engine in (expected, actual))
    assert set(ours) == set(theirs)
    largest = max(np.abs(array).max() for array in theirs.values())
    for key, array in theirs.items():  # those of key biases are 0 but for rounding
        assert np.abs(ours[key] - array).max() <= GRADIENT * largest, key


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(
    ("name", "steps"),
    [("tagger", 8), *(pytest.param(name, 50, marks=pytest.mark.nightly) for name in NETWORKS)],
)
def test_losses_agree_with_dropout(name, steps):
    entries = {"variational_dropout": True, "recurrent_dropout": 0.2} if name == "tagger" else {}
    spec = spec_of(name, dropout=0.4, **entries)
    found = []
    for engine in both(spec):
        handles = [engine.train_step([batch_of(spec, step % 4)], 5e-3) for step in range(steps)]
        pairs = zip(engine.fetch(handles), handles, strict=True)
        found.append(np.array([loss / handle.count for (loss, _), handle in pairs]))
    for ours, theirs in zip(found[1], found[0], strict=True):
        assert_near(ours, theirs, STEP_LOSS)
    quarter = max(steps // 4, 1)
    assert found[0][-quarter:].mean() < found[0][:quarter].mean()


@pytest.mark.parametrize("name", ["tagger", pytest.param("music", marks=pytest.mark.nightly)])
def test_padding_further_changes_nothing(backend, name):
    spec = spec_of(name)
    engine, batch = engine_of(backend, spec), batch_of(spec)
    wide = widen(batch, 20)
    short, long = engine.eval_step(batch), engine.eval_step(wide)
    real = batch["attention_mask"] == 1
    found, expected = long.outputs["logits"][:, :12][real], short.outputs["logits"][real]
    assert_near(found, expected, PADDING_ABS, absolute=True)
    assert long.loss_sum == pytest.approx(short.loss_sum, rel=1e-6)


def test_more_characters_of_padding_change_nothing(backend):
    spec = spec_of("tagger")
    engine, batch = engine_of(backend, spec), batch_of(spec)
    further = np.pad(batch["characters"], ((0, 0), (0, 0), (0, 8)))
    short, long = (engine.eval_step({**batch, "characters": given}) for given in (batch["characters"], further))
    assert batch["characters"][..., -1].any()  # a word reaches to the end
    assert_near(long.outputs["logits"], short.outputs["logits"], PADDING_ABS, absolute=True)


@pytest.mark.needs_pytorch
def test_a_network_is_saved_and_opened_as_it_was(tmp_path):
    spec = spec_of("tagger")
    save_pretrained(tmp_path, spec, spec.arrays)
    config = ModelConfig(str(tmp_path), CHAINS, None, 0.0, {})
    opened = load_model_spec(config, TASKS.get(CHAINS).example_labels(), VOCABULARY, 0, 5)
    assert_identical(opened.arrays, spec.arrays)
    assert not opened.new_parameters


@pytest.mark.needs_pytorch
def test_a_later_frame_or_character_reaches_no_earlier_one():
    for name in ("music", "text"):
        spec = spec_of(name)
        engine, batch = engine_of(load("pytorch"), spec), batch_of(spec)
        field = "frames" if name == "music" else "input_ids"
        changed = {**batch, field: batch[field].copy()}
        changed[field][:, 6:] = 1 - changed[field][:, 6:] if name == "music" else 1 + changed[field][:, 6:] % 30
        found = [engine.logits_at(given, np.full(4, 5, np.int32)) for given in (batch, changed)]
        np.testing.assert_array_equal(*found)
        later = [engine.logits_at(given, np.full(4, 6, np.int32)) for given in (batch, changed)]
        assert np.abs(later[0] - later[1])[0].max() > 1e-3


@pytest.mark.parametrize(("name", "reason"), [("words", "packed sequences"), ("chain", "decoded as one chain")])
def test_no_graph_is_exported_that_would_compute_less(name, reason):
    assert reason in unexportable(spec_of(name))


def test_what_reads_both_directions_predicts_no_next_token():
    with pytest.raises(InputError, match=r"has no head for language-modeling"):
        spec_of("text", bidirectional=True)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("name", ["pytorch", pytest.param("mindspore", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("method", ["lora", "qat"])
def test_the_table_of_characters_takes_adapters(name, method):
    pytest.importorskip("mindspore" if name == "mindspore" else "torch")
    spec = spec_of("tagger")
    plan = plan_for(spec, ("bilstm_cnn.characters.table",) if method == "lora" else (), method)
    engine = build_engine(load(name), spec, plan, nonzero_values(plan))
    gradients = engine.gradients([batch_of(spec)])
    assert any("characters.table" in key and np.abs(array).max() > 0 for key, array in gradients.items())
