"""Any other `transformers` model on the PyTorch side: read off the network, adapted by patterns, trained, merged;
refused elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from common.backend.capabilities import check
from common.config.schema import ModelConfig
from common.errors import InputError
from common.methods.coverage import coverage_table
from common.methods.merge import merged_model
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from tests.support import assert_near, build_engine, plan_for, settings
from tests.tolerances import BERT_LOGITS_ABS, MERGED_ABS

backend = pytest.importorskip("pytorch_impl")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.needs_pytorch

LABELS = ("x", "y", "z")
CLASSIFIERS = {
    "ernie": (
        lambda: transformers.ErnieConfig(
            vocab_size=60,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=32,
        ),
        ("*.query", "*.value"),
        {"classifier"},
    ),
    "camembert": (
        lambda: transformers.CamembertConfig(
            vocab_size=60,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=40,
            pad_token_id=1,
        ),
        ("*.query", "*.value"),
        {"classifier.dense", "classifier.out_proj"},
    ),
}
BATCH = {
    "input_ids": np.array([[5, 6, 7, 8], [9, 10, 1, 1]], np.int32),
    "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.int32),
    "labels": np.array([0, 2], np.int32),
}


def saved(folder, name, network=None):
    """A tiny random model saved by `transformers`; the base model without a head unless ``network`` is given."""
    torch.manual_seed(0)
    config = CLASSIFIERS[name][0]()
    (network or transformers.AutoModel).from_config(config).save_pretrained(folder)
    return folder


def spec_of(folder, task="sequence-classification", dropout=0.0, labels=LABELS, pad_token_id=1):
    return load_model_spec(ModelConfig(str(folder), task, None, dropout, {}), labels, 60, pad_token_id, 0)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_other_families_are_adapted_trained_and_merged(name, tmp_path):
    _, targets, head = CLASSIFIERS[name]
    spec = spec_of(saved(tmp_path / "base", name))
    assert (spec.family, set(spec.head)) == (name, head)
    assert {parameter.rsplit(".", 1)[0] for parameter in spec.new_parameters} == head
    plan = plan_for(spec, targets)
    assert len(plan.edits) == 4
    assert "0-1" in coverage_table(plan, spec)
    engine = build_engine(backend, spec, plan)
    first = engine.eval_step(BATCH)
    for _ in range(5):
        engine.train_step([BATCH], 1e-2)
    trained = engine.eval_step(BATCH)
    assert trained.loss_sum < first.loss_sum
    merged, _ = merged_model(plan, spec, engine.trainable())
    save_pretrained(tmp_path / "merged", merged, merged.arrays)
    model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "merged", output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    with torch.no_grad():
        logits = model.eval()(
            **{key: torch.from_numpy(BATCH[key]).long() for key in ("input_ids", "attention_mask")}
        ).logits.numpy()
    assert_near(logits, trained.outputs["logits"], MERGED_ABS, absolute=True)
    backend.merge(engine.model)
    assert_near(engine.eval_step(BATCH).outputs["logits"], trained.outputs["logits"], MERGED_ABS, absolute=True)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_new_heads_depend_on_the_seed_alone(name, tmp_path):
    folder = saved(tmp_path, name)
    torch.manual_seed(1)
    first = spec_of(folder)
    torch.manual_seed(2)
    second = spec_of(folder)
    assert all(np.array_equal(first.arrays[key], second.arrays[key]) for key in first.arrays)
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_dropout_of_the_configuration_reaches_every_dropout_of_the_network(name, tmp_path):
    folder = saved(tmp_path, name)
    for dropout in (0.0, 0.25):
        model = backend.build_model(spec_of(folder, dropout=dropout), "cpu")
        found = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
        assert found == {dropout}
    kept = backend.build_model(spec_of(folder, dropout=None), "cpu")
    assert 0.1 in {module.p for module in kept.modules() if isinstance(module, torch.nn.Dropout)}


def test_a_tied_language_model_head_is_known_and_never_merged_into(tmp_path):
    torch.manual_seed(0)
    config = transformers.OPTConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=24,
        max_position_embeddings=32,
        word_embed_proj_dim=16,
    )
    transformers.OPTForCausalLM(config).save_pretrained(tmp_path)
    spec = spec_of(tmp_path, "language-modeling", labels=None)
    assert spec.shared == {"model.decoder.embed_tokens"}
    assert spec.parameter_count() == sum(array.size for array in spec.arrays.values())
    engine = build_engine(backend, spec, plan_for(spec, ("*.q_proj", "*.v_proj")))
    batch = BATCH | {"labels": np.array([[6, 7, 8, 2], [10, 2, -100, -100]], np.int32)}
    model = transformers.OPTForCausalLM.from_pretrained(tmp_path).eval()
    backend.set_enabled(engine.model, False)
    with torch.no_grad():
        expected = model(
            **{key: torch.from_numpy(BATCH[key]).long() for key in ("input_ids", "attention_mask")}
        ).logits.numpy()
    assert_near(engine.logits_at(batch, np.array([3, 1])), expected[[0, 1], [3, 1]], BERT_LOGITS_ABS, absolute=True)
    backend.set_enabled(engine.model, True)
    engine.train_step([batch], 1e-2)
    backend.merge(engine.model)
    embedded = build_engine(backend, spec, plan_for(spec, ("*.embed_tokens",)))
    with pytest.raises(InputError, match="shares its weight"):
        backend.merge(embedded.model)


def test_a_checkpoint_that_leaves_base_parameters_at_random_is_refused(tmp_path):
    from common.files import load_arrays, save_arrays

    folder = saved(tmp_path, "ernie")
    arrays, _ = load_arrays(folder / "model.safetensors")
    lost = next(name for name in sorted(arrays) if "query.weight" in name)
    del arrays[lost]
    save_arrays(folder / "model.safetensors", arrays, {"format": "pt"})
    with pytest.raises(InputError, match=r"at random.*query"):
        spec_of(folder)


def test_other_families_are_refused_by_the_mindspore_backend_before_anything_is_built(tmp_path):
    mindspore_backend = pytest.importorskip("mindspore_impl")
    spec = spec_of(saved(tmp_path, "ernie"))
    plan = plan_for(spec, ("*.query",))
    with pytest.raises(InputError, match=r"family:ernie: there is no mindspore_impl/models/ernie\.py"):
        check(mindspore_backend, "cpu", spec, plan, settings())
    check(backend, "cpu", spec, plan, settings())


def test_other_families_need_a_source():
    with pytest.raises(InputError, match=r"needs model\.source"):
        load_model_spec(
            ModelConfig(None, "sequence-classification", None, None, {"model_type": "ernie"}), LABELS, 60, 0, 0
        )


def test_a_task_the_family_does_not_have_is_refused(tmp_path):
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=8, patch_size=4
    )
    transformers.ViTModel(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="transformers cannot build a language-modeling network from the vit model"):
        spec_of(tmp_path, "language-modeling", labels=None)


def classifier_of(folder, names):
    """A saved ERNIE classifier with these classes; returns its output weight."""
    torch.manual_seed(0)
    config = CLASSIFIERS["ernie"][0]()
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    network = transformers.AutoModelForSequenceClassification.from_config(config)
    network.save_pretrained(folder)
    return network.classifier.weight.detach().numpy()


@pytest.mark.parametrize(
    ("labels", "rows", "state"),
    [
        (("pos", "neg"), (0, 1), "loaded"),
        (("neg", "pos"), (1, 0), "reordered"),
        (("neg", "neutral", "pos"), (1, None, 0), "partly loaded"),
        (("x", "y"), (None, None), "newly initialised"),
        (("x", "y", "z"), (None, None, None), "newly initialised"),
    ],
)
def test_rows_of_their_heads_are_matched_to_the_classes_by_name(labels, rows, state, tmp_path):
    held = classifier_of(tmp_path, ("pos", "neg"))
    spec = spec_of(tmp_path, labels=labels)
    found = spec.arrays["classifier.weight"]
    for place, row in enumerate(rows):
        assert any(np.array_equal(found[place], other) for other in held) == (row is not None)
        assert row is None or np.array_equal(found[place], held[row])
    assert spec.head_origin.state == state
