"""Models with structural edits: on disk, merged with adapters, and multiplied out."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from common.compression import TRANSFORMS
from common.compression.compress import read_options, transformed
from common.config.schema import ModelConfig
from common.errors import InputError
from common.files import load_arrays, save_arrays
from common.methods import METHODS
from common.methods.merge import merged_model
from common.models.checkpoint import save_pretrained
from common.models.layers.factored import FACTORED, FACTORED_TABLE
from common.models.loading import load_model_spec
from common.models.structure import dense
from common.tasks import TASKS
from tests.support import (
    KINDS,
    TARGETS,
    assert_identical,
    assert_near,
    model_config,
    nonzero_values,
    plan_for,
    tiny_spec,
)

SVD = TRANSFORMS.get("svd")
EMBEDDING = {"bert": "*.word_embeddings", "gpt2": "wpe", "gpt2-classifier": "wte"}


def factored(kind, rank=4):
    spec = tiny_spec(kind)
    return transformed(spec, SVD, read_options(SVD, {"rank": rank, "targets": ["all-linear", EMBEDDING[kind]]}))[0]


def reload(folder, kind, labels=("class0", "class1", "class2"), **entries):
    names = labels if KINDS[kind][1].endswith("classification") else None
    return load_model_spec(model_config(kind, str(folder), **entries), names, 60, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back_with_its_structure(kind, tmp_path):
    spec = factored(kind)
    save_pretrained(tmp_path, spec, spec.arrays)
    loaded = reload(tmp_path, kind)
    assert_identical(loaded.arrays, spec.arrays)
    assert loaded.modules == spec.modules
    assert loaded.edits == spec.edits
    assert loaded.history == spec.history
    assert loaded.new_parameters == ()
    assert "twinlora" not in loaded.config
    assert {module.kind for module in loaded.modules} >= {FACTORED, FACTORED_TABLE}


@pytest.mark.needs_pytorch
def test_transformers_refuses_the_folder_instead_of_leaving_weights_at_random(tmp_path):
    transformers = pytest.importorskip("transformers")
    spec = factored("bert")
    save_pretrained(tmp_path, spec, spec.arrays)
    for loader in (transformers.AutoModelForSequenceClassification, transformers.BertModel):
        with pytest.raises(ValueError, match="layers that transformers does not have"):
            loader.from_pretrained(tmp_path)
    plain = dense(spec)
    save_pretrained(tmp_path / "plain", plain, plain.arrays)
    network = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "plain")
    found = {name: parameter.detach().numpy() for name, parameter in network.named_parameters()}
    assert_identical(found, plain.arrays)


def test_a_new_head_is_put_on_a_compressed_model(tmp_path):
    spec = factored("bert")
    save_pretrained(tmp_path, spec, spec.arrays)
    loaded = reload(tmp_path, "bert", labels=("a", "b", "c", "d", "e"))
    assert set(loaded.new_parameters) == {"classifier.weight", "classifier.bias"}
    assert loaded.edits == spec.edits


def test_a_task_without_a_factored_module_of_the_head_leaves_it_out(tmp_path):
    """The token head has no pooler, which the checkpoint may hold."""
    spec = factored("bert")
    save_pretrained(tmp_path, spec, spec.arrays)
    config = dataclasses.replace(model_config("bert", str(tmp_path)), task="token-classification")
    if config.task not in TASKS:
        pytest.skip("there is no task token-classification")
    loaded = load_model_spec(config, ("a", "b"), 60, 0, 0)
    assert "bert.pooler.dense" not in {module.path for module in loaded.modules}
    assert len(loaded.edits) == len(spec.edits) - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda entry: entry["edits"].append({"path": "bert.x", "layer": "factored", "arguments": {"rank": 1}}),
            "no such",
        ),
        (lambda entry: entry["edits"][0].update(layer="unheard"), "layer must be one of .*unheard"),
        (lambda entry: entry["edits"][0].update(arguments={"rank": "four"}), "arguments.rank must be"),
        (lambda entry: entry["edits"][0].update(arguments={"rank": 400}), "rank must be between 1 and"),
        (lambda entry: entry["edits"][0].update(arguments={}), "arguments.rank must be given"),
        (lambda entry: entry["edits"][0].pop("layer"), 'must hold "path", "layer" and "arguments"'),
        (lambda entry: entry.update(edits={}), 'must hold the lists "history" and "edits"'),
        (lambda entry: entry["edits"].pop(), r"pooler.dense.second.weight: not part of the model"),
        (lambda entry: entry["edits"].pop(0), r"query.second.weight: not part of the model"),
        (
            lambda entry: entry["edits"][0]["arguments"].update(rank=3),
            r"first.weight: shape \(4, 16\), expected \(3, 16\)",
        ),
    ],
)
def test_a_folder_whose_config_and_weights_disagree_is_refused(change, message, tmp_path):
    spec = factored("bert")
    save_pretrained(tmp_path, spec, spec.arrays)
    config = json.loads((tmp_path / "config.json").read_text())
    config["twinlora"]["edits"].sort(key=lambda edit: "pooler" in edit["path"] or "query" not in edit["path"])
    change(config["twinlora"])
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        reload(tmp_path, "bert")


def test_a_missing_factor_is_refused_even_of_a_module_that_may_be_missing(tmp_path):
    spec = factored("bert")
    save_pretrained(tmp_path, spec, spec.arrays)
    arrays, _ = load_arrays(tmp_path / "model.safetensors")
    del arrays["bert.pooler.dense.first.weight"]
    save_arrays(tmp_path / "model.safetensors", arrays)
    with pytest.raises(InputError, match=r"bert.pooler.dense.first.weight: missing"):
        reload(tmp_path, "bert")


@pytest.mark.parametrize("kind", KINDS)
def test_merging_lora_appends_it_to_the_factors_exactly(kind):
    spec = factored(kind)
    plan = plan_for(spec, [*TARGETS[kind], EMBEDDING[kind]], bias="all")
    biases = {p.name: spec.arrays[p.name] + 1 for p in plan.unfrozen}
    trained = {**nonzero_values(plan), **biases}
    merged, errors = merged_model(plan, spec, trained)
    assert errors == {}  # no plain weight was changed
    ranks = {edit.path: edit.arguments.rank for edit in merged.edits}
    before, after = dense(spec), dense(merged)
    for edit in plan.edits:
        left, right = METHODS.get("lora").delta(edit, trained)
        update = left @ right
        plain = next(m for m in before.modules if m.path == edit.path)
        update = update.T if plain.kind.transposed else update
        slices = max(1, len(edit.arguments.slices))
        assert ranks[edit.path] == 4 + 2 * slices
        assert_near(
            after.arrays[f"{edit.path}.weight"],
            before.arrays[f"{edit.path}.weight"].astype(np.float64) + update,
            5e-7,
            what=edit.path,
        )
    assert {name: array.shape for name, array in merged.arrays.items()} == merged.shapes()
    for name, array in biases.items():
        assert_identical({name: merged.arrays[name]}, {name: array})


def test_ranks_that_add_up_to_more_than_the_matrix_has_are_factored_again():
    spec = factored("bert", rank=5)
    plan = plan_for(spec, ["*.query"], rank=14)
    trained = {**nonzero_values(plan), **{p.name: spec.arrays[p.name] for p in plan.unfrozen}}
    merged, _ = merged_model(plan, spec, trained)
    for edit in plan.edits:
        a, b = (trained[p.name].astype(np.float64) for p in edit.parameters)
        name = f"{edit.path}.weight"
        expected = dense(spec).arrays[name] + edit.arguments.scaling * b @ a
        assert_near(dense(merged).arrays[name], expected, 1e-6)
        assert {e.path: e.arguments.rank for e in merged.edits}[edit.path] == 16


@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_counts_of_every_method_are_those_of_the_compressed_model(method):
    spec = factored("bert")
    plan = plan_for(spec, TARGETS["bert"] if method == "lora" else (), method)
    sizes = {name: int(np.prod(shape)) for name, shape in plan.shapes().items()}
    assert plan.counts()["total"] == sum(sizes.values())
    if method == "full":
        assert sizes == {name: array.size for name, array in spec.arrays.items()}
        assert "bert.encoder.layer.0.attention.self.query.first.weight" in plan.decayed
        assert "bert.encoder.layer.0.attention.self.query.bias" not in plan.decayed
    if method == "lora":
        assert {edit.module.kind for edit in plan.edits} == {FACTORED}


@pytest.mark.parametrize("embedding", ["static", "multichannel", "trained"])
def test_a_table_that_stays_as_it_starts_stays_so_when_it_is_factored(embedding):
    entries = {"model_type": "textcnn", "embedding": embedding, "embedding_size": 8, "filters": 4, "vocab_size": 20}
    section = ModelConfig(None, "sequence-classification", None, None, entries)
    spec = load_model_spec(section, ("a", "b"), 20, 0, 0)
    options = {"rank": 3, "targets": ["*embeddings"]}
    found = transformed(spec, SVD, read_options(SVD, options))[0]
    full = METHODS.get("full")
    trained = {name.removeprefix("textcnn.") for name in full.plan(full.Options("full"), found).shapes()}
    tables = {name for name in trained if "embeddings" in name}
    assert (
        tables
        == {
            "static": set(),
            "multichannel": {"embeddings.first.weight", "embeddings.second.weight"},
            "trained": {"embeddings.first.weight", "embeddings.second.weight"},
        }[embedding]
    )
    assert "classifier.weight" in trained
