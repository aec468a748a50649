"""The rows of a checkpoint's head are matched to the classes by name, and what became of the head is said."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.config.schema import ModelConfig
from common.files import save_arrays
from common.models.checkpoint import save_pretrained
from common.models.heads import INITIALISED, LOADED, PARTLY, REORDERED, match_rows
from common.models.loading import load_model_spec
from tests.support import tiny_spec

TASK = "sequence-classification"
KINDS = {"bert": "classifier", "gpt2-classifier": "score"}


def saved(folder, kind, names):
    """A tiny classifier with these class names; returns its arrays."""
    spec = tiny_spec(kind)
    arrays, output = dict(spec.arrays), KINDS[kind]
    random = np.random.default_rng(0)
    for name in (name for name in arrays if name.rpartition(".")[0] == output):
        shape = (len(names), *arrays[name].shape[1:])
        arrays[name] = random.standard_normal(shape).astype(np.float32)
    save_pretrained(folder, spec, spec.arrays)
    save_arrays(folder / "model.safetensors", arrays, {"format": "pt"})
    given = json.loads((folder / "config.json").read_text())
    given |= {"id2label": {str(i): name for i, name in enumerate(names)}}
    (folder / "config.json").write_text(json.dumps(given))
    return arrays


def load(folder, labels, seed=0):
    return load_model_spec(ModelConfig(str(folder), TASK, None, None, {}), labels, 60, 0, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_whose_classes_have_another_order_is_reordered(kind, tmp_path):
    held, output = saved(tmp_path, kind, ("pos", "neg")), KINDS[kind]
    spec = load(tmp_path, ("neg", "pos"))
    for name in (name for name in held if name.rpartition(".")[0] == output):
        assert np.array_equal(spec.arrays[name], held[name][::-1])
    assert spec.head_origin.state == REORDERED
    assert spec.new_parameters == ()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_shared_names_are_taken_and_the_others_initialised(kind, tmp_path):
    held, name = saved(tmp_path, kind, ("pos", "neg")), f"{KINDS[kind]}.weight"
    specs = [load(tmp_path, ("neg", "neutral", "pos"), seed) for seed in (0, 1)]
    for spec in specs:
        assert np.array_equal(spec.arrays[name][[0, 2]], held[name][[1, 0]])
        assert spec.head_origin.state == PARTLY
        assert "neutral" in str(spec.head_origin)
    assert not np.array_equal(specs[0].arrays[name][1], specs[1].arrays[name][1])
    assert specs[0].fingerprint == specs[1].fingerprint


def test_a_head_of_other_classes_is_initialised_though_its_shape_fits(tmp_path):
    held = saved(tmp_path, "bert", ("pos", "neg"))
    spec = load(tmp_path, ("spam", "ham"))
    assert not np.isin(spec.arrays["classifier.weight"], held["classifier.weight"]).any()
    assert spec.head_origin.state == INITIALISED
    assert set(spec.new_parameters) == {"classifier.weight", "classifier.bias"}


def test_its_own_classes_load_exactly(tmp_path):
    held = saved(tmp_path, "bert", ("pos", "neg"))
    spec = load(tmp_path, ("pos", "neg"))
    assert all(np.array_equal(spec.arrays[name], held[name]) for name in held)
    assert str(spec.head_origin) == "head loaded"


def test_placeholders_are_kept_by_index_and_said_so(tmp_path):
    held = saved(tmp_path, "bert", ("LABEL_0", "LABEL_1"))
    spec = load(tmp_path, ("neg", "pos"))
    assert np.array_equal(spec.arrays["classifier.weight"], held["classifier.weight"])
    assert "by index" in str(spec.head_origin)
    assert load(tmp_path, ("a", "b", "c")).head_origin.state == INITIALISED


def test_a_checkpoint_without_a_pooler_gets_a_new_one_and_it_is_said(tmp_path):
    arrays = saved(tmp_path, "bert", ("pos", "neg"))
    kept = {name: array for name, array in arrays.items() if "pooler" not in name}
    save_arrays(tmp_path / "model.safetensors", kept, {"format": "pt"})
    origin = load(tmp_path, ("pos", "neg")).head_origin
    assert (origin.state, origin.new) == (PARTLY, ("bert.pooler.dense",))


@pytest.mark.parametrize(
    ("entry", "labels", "rows", "state"),
    [
        ({"0": "NEGATIVE", "1": "POSITIVE"}, ("positive", "negative"), (1, 0), REORDERED),
        ({"0": "a", "1": "A"}, ("A", "a"), (1, 0), REORDERED),
        ({0: "x", 1: "y", 2: "z"}, ("z", "x"), (2, 0), REORDERED),
        ({"0": "x", "1": "x"}, ("x", "y"), (0, 1), LOADED),
        ({"0": "x", "5": "y"}, ("y", "x"), (0, 1), LOADED),
        (["x", "y"], ("y", "x"), (0, 1), LOADED),
        ({"0": "LABEL_0", "1": "LABEL_1"}, ("LABEL_1", "LABEL_0"), (1, 0), REORDERED),
    ],
)
def test_names_decide_and_unusable_names_leave_the_index(entry, labels, rows, state):
    matched = match_rows({"id2label": entry}, labels, len(entry), len(labels))
    assert (matched.rows, matched.state) == (rows, state)
