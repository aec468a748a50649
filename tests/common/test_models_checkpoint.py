"""Checkpoints of every shape found in the wild, the errors of those that do not fit, and what we write read by
`transformers`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.config.schema import ModelConfig
from common.errors import InputError
from common.files import load_arrays, save_arrays
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from tests.support import KINDS, assert_identical, tiny_spec

LABELS = ("class0", "class1", "class2")


def load(folder, kind="bert", labels=LABELS, vocabulary=60, seed=0, dropout=None, **entries):
    task = KINDS[kind][1]
    return load_model_spec(
        ModelConfig(str(folder), task, None, dropout, entries), labels if "class" in task else None, vocabulary, 0, seed
    )


def saved(folder, kind="bert", change=lambda arrays: arrays, **config):
    """A tiny model written with its arrays changed; returns the model."""
    spec = tiny_spec(kind)
    save_pretrained(folder, spec, spec.arrays)
    save_arrays(folder / "model.safetensors", change(dict(spec.arrays)), {"format": "pt"})
    given = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**given, **config}))
    return spec


def shard(folder, parts):
    arrays, _ = load_arrays(folder / "model.safetensors")
    names = sorted(arrays)
    weight_map = {name: f"model-{i % parts + 1:05d}-of-{parts:05d}.safetensors" for i, name in enumerate(names)}
    for file in set(weight_map.values()):
        save_arrays(folder / file, {name: arrays[name] for name in names if weight_map[name] == file}, {"format": "pt"})
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back_with_the_same_fingerprint(kind, tmp_path):
    spec = saved(tmp_path, kind)
    loaded = load(tmp_path, kind)
    assert_identical(loaded.arrays, spec.arrays)
    assert loaded.new_parameters == ()
    assert loaded.modules == spec.modules
    assert loaded.config["architectures"] == [type_of(kind)]


def type_of(kind):
    return {
        "bert": "BertForSequenceClassification",
        "gpt2": "GPT2LMHeadModel",
        "gpt2-classifier": "GPT2ForSequenceClassification",
    }[kind]


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("kind", KINDS)
def test_transformers_loads_what_is_written_without_a_word(kind, tmp_path):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    spec = saved(tmp_path, kind)
    model, report = getattr(transformers, type_of(kind)).from_pretrained(
        tmp_path, output_loading_info=True, dtype=torch.float32
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    assert_identical({name: parameter.detach().numpy() for name, parameter in model.named_parameters()}, spec.arrays)
    if kind != "gpt2":
        assert model.config.id2label == {0: "class0", 1: "class1", 2: "class2"}


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("kind", KINDS)
def test_what_transformers_writes_is_read_to_the_bit(kind, tmp_path):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    spec = tiny_spec(kind)
    torch.manual_seed(0)
    config = {**spec.config, "id2label": dict(enumerate(LABELS))}
    config.pop("num_labels", None)
    model = getattr(transformers, type_of(kind))(transformers.AutoConfig.for_model(**config))
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert_identical(
        load(tmp_path, kind).arrays, {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    )


def test_the_fingerprint_follows_the_weights_and_not_the_file(tmp_path):
    spec = saved(tmp_path / "plain")
    expected = load(tmp_path / "plain").fingerprint
    saved(tmp_path / "sharded")
    shard(tmp_path / "sharded", 3)
    assert load(tmp_path / "sharded").fingerprint == expected
    saved(
        tmp_path / "bare", change=lambda arrays: {name.removeprefix("bert."): array for name, array in arrays.items()}
    )
    assert load(tmp_path / "bare").fingerprint == expected

    def old(arrays):
        renamed = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
            for name, array in arrays.items()
        }
        assert renamed.keys() != arrays.keys()
        return renamed | {
            "bert.embeddings.position_ids": np.arange(32),
            "cls.predictions.bias": np.ones(60, np.float32),
        }

    saved(tmp_path / "old", change=old)
    assert load(tmp_path / "old").fingerprint == expected
    assert_identical(load(tmp_path / "old").arrays, spec.arrays)

    def changed(arrays):
        name = "bert.pooler.dense.bias"
        return arrays | {name: np.nextafter(arrays[name], np.float32(9))}

    saved(tmp_path / "changed", change=changed)
    assert load(tmp_path / "changed").fingerprint != expected


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_every_key_that_does_not_fit_is_listed(prefix, tmp_path):
    """With the base model's prefix and without it, as encoders alone are published."""

    def broken(arrays):
        named = {
            prefix + name.removeprefix("bert.") if name.startswith("bert.") else name: array
            for name, array in arrays.items()
        }
        del named[f"{prefix}encoder.layer.1.output.dense.weight"]
        del named[f"{prefix}pooler.dense.bias"]
        named[f"{prefix}encoder.layer.0.attention.self.query.weight"] = np.ones((16, 8), np.float32)
        named[f"{prefix}encoder.layer.2.output.dense.weight"] = np.ones((16, 24), np.float32)
        return named

    saved(tmp_path, change=broken)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    for fault in (
        "bert.encoder.layer.1.output.dense.weight: missing",
        "bert.pooler.dense.bias: missing",
        "encoder.layer.0.attention.self.query.weight: shape (16, 8), expected (16, 16)",
        "encoder.layer.2.output.dense.weight: not part of the model",
    ):
        assert fault in str(caught.value)


def test_a_model_with_fewer_layers_than_the_checkpoint_is_not_built_in_silence(minilm_folder):
    with pytest.raises(InputError, match=r"encoder\.layer\.[345].*not part of the model"):
        load(minilm_folder, vocabulary=30522, num_hidden_layers=3)


def test_a_head_of_other_size_is_drawn_anew_from_the_seed(tmp_path):
    spec = saved(tmp_path)
    two = [load(tmp_path, labels=("yes", "no"), seed=seed) for seed in (0, 0, 1)]
    assert set(two[0].new_parameters) == {"classifier.weight", "classifier.bias"}
    assert two[0].arrays["classifier.weight"].shape == (2, 16)
    assert np.array_equal(two[0].arrays["classifier.weight"], two[1].arrays["classifier.weight"])
    assert not np.array_equal(two[0].arrays["classifier.weight"], two[2].arrays["classifier.weight"])
    assert two[0].fingerprint == two[2].fingerprint
    assert two[0].config["id2label"] == {"0": "yes", "1": "no"}
    assert load(tmp_path).new_parameters == ()
    assert np.array_equal(load(tmp_path).arrays["classifier.weight"], spec.arrays["classifier.weight"])


def test_half_precision_checkpoints_are_widened_exactly(tmp_path):
    spec = saved(tmp_path, change=lambda arrays: {name: array.astype(np.float16) for name, array in arrays.items()})
    assert_identical(
        load(tmp_path).arrays,
        {name: array.astype(np.float16).astype(np.float32) for name, array in spec.arrays.items()},
    )


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_pickles_alone_are_refused(tmp_path, pickle):
    saved(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / pickle)
    with pytest.raises(InputError, match=r"must be safetensors.*pytorch_model.*save_pretrained"):
        load(tmp_path)


def test_a_pickle_beside_safetensors_is_left_alone(tmp_path):
    saved(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    assert load(tmp_path).new_parameters == ()


def test_a_missing_shard_is_named(tmp_path):
    saved(tmp_path)
    shard(tmp_path, 2)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match="model-00002-of-00002"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', "\x00"])
def test_a_broken_index_is_named(tmp_path, text):
    saved(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(
        InputError, match=r"model\.safetensors\.index\.json.*the index of a model (must be JSON|has another form)"
    ):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "must hold config.json"),
        ("{", "must be JSON"),
        ("[]", "must be an object; received a list"),
        ("3", "must be an object; received an integer"),
        ("{}", 'names no "model_type"'),
    ],
)
def test_a_folder_without_a_usable_configuration_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape", "nan"])
def test_nothing_is_written_that_is_not_the_model(tmp_path, fault):
    spec = tiny_spec("bert")
    arrays = dict(spec.arrays)
    if fault == "missing":
        del arrays["classifier.bias"]
    elif fault == "unexpected":
        arrays["surplus"] = np.ones(1, np.float32)
    elif fault == "shape":
        arrays["classifier.bias"] = np.ones((3, 1), np.float32)
    else:
        arrays["classifier.bias"] = np.full(3, np.nan, np.float32)
    with pytest.raises(InputError, match=r"classifier\.bias|surplus"):
        save_pretrained(tmp_path, spec, arrays)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "entries", "message"),
    [
        ("bert", {"hiden_size": 8}, "hidden_size"),
        (
            "bert",
            {"hidden_size": 10, "num_attention_heads": 4},
            "hidden_size must be a multiple of num_attention_heads; received 10 and 4",
        ),
        ("gpt2", {"n_head": 5}, "n_embd must be a multiple of n_head; received 768 and 5"),
        ("gpt2", {"vocab_size": 59}, "60 ids but the model has 59"),
    ],
)
def test_configurations_that_no_model_has_are_refused(kind, entries, message):
    family, task = KINDS[kind]
    labels = LABELS if "class" in task else None
    with pytest.raises(InputError, match=message):
        load_model_spec(ModelConfig(None, task, None, None, {"model_type": family, **entries}), labels, 60, 0, 0)


def test_a_task_the_family_does_not_have_is_refused():
    with pytest.raises(InputError, match="bert has no head for language-modeling"):
        load_model_spec(ModelConfig(None, "language-modeling", None, None, {"model_type": "bert"}), None, 60, 0, 0)


def test_a_model_from_nothing_must_be_named():
    with pytest.raises(InputError, match="model_type"):
        load_model_spec(ModelConfig(None, "language-modeling", None, None, {"n_embd": 8}), None, 60, 0, 0)


def test_dropout_replaces_every_probability_and_null_keeps_them(tmp_path):
    saved(tmp_path, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.2, classifier_dropout=0.4)
    names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    assert [load(tmp_path).config[name] for name in names] == [0.3, 0.2, 0.4]
    assert [load(tmp_path, dropout=0.0).config[name] for name in names] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", KINDS)
def test_starting_values_are_the_published_ones(kind):
    family, task = KINDS[kind]
    config = {"model_type": family} | ({"num_hidden_layers": 2} if family == "bert" else {"n_layer": 2})
    labels = LABELS if "class" in task else None
    spec = load_model_spec(ModelConfig(None, task, None, None, config), labels, 1000, 0, 7)
    assert spec.new_parameters == ()
    for name, array in spec.arrays.items():
        assert array.dtype == np.float32
        if name.endswith(".bias"):
            assert not array.any()
        elif "LayerNorm" in name or "ln_" in name:
            assert (array == 1).all()
        else:
            expected = 0.02 / np.sqrt(2 * 2) if name.endswith("c_proj.weight") else 0.02
            assert array.std() == pytest.approx(expected, rel=0.05 if array.size > 5000 else 0.2), name
            assert abs(array.mean()) < 5 * expected / np.sqrt(array.size)
    drawn = [array.tobytes() for name, array in spec.arrays.items() if array.std() > 0]
    assert len(set(drawn)) == len(drawn)
    if family == "bert":
        assert not spec.arrays["bert.embeddings.word_embeddings.weight"][0].any()
