"""Pre-training objectives: both backends, `transformers` and NumPy compute the same."""

from __future__ import annotations

import dataclasses
import json
from importlib import import_module

import numpy as np
import pytest

from common.backend import IGNORE, load
from common.backend.batch import EVALUATION
from common.config.schema import ModelConfig
from common.data.batching import collate
from common.data.encoding import Encoded, Ragged
from common.methods.merge import merged_model
from common.metrics.detection import area_under_curve
from common.models import FAMILIES
from common.models.checkpoint import read_checkpoint, save_pretrained
from common.models.loading import load_model_spec
from common.random import normal
from common.tasks import TASKS
from common.tasks.example import example_batch
from tests.support import assert_near, build_engine, nonzero_values, plan_for
from tests.tolerances import ACCUMULATION, GRADIENT

PAIRS, DETECTION, MASKED = "pretraining", "replaced-token-detection", "masked-language-modeling"
VOCABULARY, LENGTHS = 60, [9, 4, 7]
TABLE = "bert.embeddings.word_embeddings.weight"


def model(task, source=None, family="bert", **options):
    entries = {"model_type": family, "vocab_size": VOCABULARY, "initializer_range": 0.3}
    entries |= FAMILIES.get(family).tiny()
    return ModelConfig(source, task, None, 0.0, {} if source else entries, options)


def spec_of(task, family="bert", **options):
    """A tiny model of which no parameter is 0 or 1."""
    spec = load_model_spec(model(task, family=family, **options), None, VOCABULARY, 0, 0)
    shifted = {name: array + normal(0, f"shift.{name}", array.shape, 0.1) for name, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=shifted)


def filled(spec, batch):
    """The batch with a further row as `collate` fills it."""
    fill = {}
    for field in spec.schema.fields:
        padding = 0 if field.padding == "pad_id" else field.padding
        row = np.full((1, *batch[field.name].shape[1:]), padding, field.dtype)
        if field.first is not None:
            row[:, 0] = field.first
        fill[field.name] = np.concatenate([batch[field.name], row])
    return fill


def engines(spec, plan=None, **settings):
    plan = plan or plan_for(spec, method="full")
    return {name: build_engine(load(name), spec, plan, {}, **settings) for name in ("pytorch", "mindspore")}


def assert_gradients(actual, expected, tolerance=GRADIENT):
    """Relative to the largest of all."""
    assert set(actual) == set(expected)
    largest = max(np.abs(array).max() for array in expected.values())
    for name, array in expected.items():
        assert np.abs(actual[name] - array).max() <= tolerance * largest, name


def test_lora_of_both_networks_is_merged_into_both_checkpoints(backend, tmp_path):
    """What the merged networks compute, read back from their two folders, is what the adapted ones did."""
    for sharing in ("none", "shared", "gradient-disentangled"):
        spec = spec_of(DETECTION, "electra", embeddings=sharing)
        plan = plan_for(spec, ("*.query", "generator.*.value"))
        assert any(edit.path.startswith("generator.") for edit in plan.edits)
        values = nonzero_values(plan)
        batch = dict(example_batch(spec, LENGTHS, "merging"))
        adapted = build_engine(backend, spec, plan, values).eval_step(batch)
        base = build_engine(backend, spec, plan_for(spec, method="full"), {}).eval_step(batch)
        merged, errors = merged_model(plan, spec, values)
        assert set(errors) == {edit.path for edit in plan.edits}
        save_pretrained(tmp_path / sharing, merged, merged.arrays)
        options = model(DETECTION, str(tmp_path / sharing), embeddings=sharing)
        again = load_model_spec(options, None, VOCABULARY, 0, 1)
        assert again.new_parameters == ()
        found = build_engine(backend, again, plan_for(again, method="full"), {}).eval_step(batch)
        assert found.loss_sum == pytest.approx(adapted.loss_sum, rel=GRADIENT)
        assert abs(base.loss_sum - adapted.loss_sum) > 10 * GRADIENT * abs(adapted.loss_sum)
        assert_near(found.outputs["logits"], adapted.outputs["logits"], ACCUMULATION)


# Pairs of segments


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_pairs_have_the_loss_and_the_gradients_of_transformers(tmp_path):
    import torch
    from transformers import BertForPreTraining

    spec = spec_of(PAIRS)
    save_pretrained(tmp_path, spec, spec.arrays)
    network, report = BertForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    batch = dict(example_batch(spec, LENGTHS, "pairs"))
    inputs = {name: torch.from_numpy(array).long() for name, array in batch.items() if name != "scale"}
    result = network.eval()(**inputs)
    result.loss.backward()
    expected = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    [weighted] = TASKS.get(PAIRS).weighted([filled(spec, batch)])
    for engine in engines(spec).values():
        assert_gradients(engine.gradients([weighted]), expected)
        halves = [{name: array[rows] for name, array in weighted.items()} for rows in (slice(0, 1), slice(1, 4))]
        assert_gradients(engine.gradients(halves), expected)
        found = engine.eval_step(filled(spec, batch))
        scores = result.seq_relationship_logits.detach().double().log_softmax(-1).numpy()
        labels = batch["next_sentence_label"]
        assert_near(found.outputs["next_loss"][:3], -scores[np.arange(3), labels], GRADIENT)
        assert found.outputs["next_right"].tolist() == [*(scores.argmax(-1) == labels).tolist(), 0]


@pytest.mark.needs_pytorch
def test_a_checkpoint_of_pairs_is_read_back_and_its_pooler_classifies(tmp_path):
    spec = spec_of(PAIRS)
    save_pretrained(tmp_path, spec, spec.arrays)
    again = load_model_spec(model(PAIRS, str(tmp_path)), None, VOCABULARY, 0, 1)
    assert again.new_parameters == ()
    assert all(np.array_equal(again.arrays[name], array) for name, array in spec.arrays.items())
    classifier = load_model_spec(model("sequence-classification", str(tmp_path)), ("a", "b"), VOCABULARY, 0, 1)
    assert classifier.head == ("classifier",)
    assert np.array_equal(classifier.arrays["bert.pooler.dense.weight"], spec.arrays["bert.pooler.dense.weight"])


# Replaced tokens


def test_the_share_of_samples_and_their_order_are_those_of_the_distribution(backend, monkeypatch):
    sampling = import_module(f"{backend.__name__}.layers.sampling")
    monkeypatch.setattr(sampling, "PIECE", 4 * 13 * 7)  # several pieces
    states, weight = normal(0, "states", (1, 4), 1.0), normal(0, "weight", (13, 4), 1.0)
    bias = normal(0, "bias", (13,), 1.0)
    uniforms = ((np.arange(500) + 0.5) / 500).astype(np.float32)
    arrays = np.repeat(states, 500, 0), weight, bias, uniforms
    if backend.__name__ == "pytorch_impl":
        import torch

        found = sampling.sampled(*map(torch.from_numpy, arrays)).numpy()
    else:
        from mindspore import Tensor

        found = sampling.sampled(*map(Tensor, arrays)).asnumpy()
    logits = (states @ weight.T + bias)[0].astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum()
    expected = np.searchsorted(np.cumsum(shares), uniforms.astype(np.float64), side="right")
    assert (found == expected).mean() >= 0.998  # one may lie on a rounded boundary
    assert (np.diff(found) >= 0).all()
    assert np.abs(np.bincount(found, minlength=13) / 500 - shares).max() <= 1 / 500


def reference(spec, batch, weight):
    """Loss and gradients of ``none`` with the networks of `transformers`, and samples by NumPy."""
    import torch
    from torch.nn import functional
    from transformers import BertConfig, BertForMaskedLM, BertModel

    arrays = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in spec.arrays.items()}
    own = {name.removeprefix("bert."): array for name, array in arrays.items() if name.startswith("bert.")}
    theirs = {name.removeprefix("generator."): a for name, a in arrays.items() if name.startswith("generator.")}
    theirs |= {
        "cls.predictions.decoder.weight": theirs[TABLE],
        "cls.predictions.decoder.bias": theirs["cls.predictions.bias"],
    }
    kept = [{k: v for k, v in one.config.items() if k != "num_labels"} for one in (spec, spec.companion.spec)]
    generator = BertForMaskedLM(BertConfig(**kept[1])).eval()
    discriminator = BertModel(BertConfig(**kept[0]), add_pooling_layer=False).eval()
    ids, labels, mask, types = (
        torch.from_numpy(batch[name]).long() for name in ("input_ids", "labels", "attention_mask", "token_type_ids")
    )
    call = torch.func.functional_call
    logits = call(generator, theirs, (ids, mask, types)).logits
    masked = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE)
    shares = logits.detach().double().softmax(-1).numpy()
    shown = ids.clone()
    for row, places in enumerate(batch["positions"]):
        for slot, place in enumerate(places[places >= 0]):
            sums = np.cumsum(shares[row, place])
            shown[row, place] = int(np.searchsorted(sums, np.float64(batch["uniforms"][row, slot]), side="right"))
    replaced = (shown != torch.where(labels >= 0, labels, ids)).float()
    states = call(discriminator, own, (shown, mask, types)).last_hidden_state
    head = "discriminator_predictions"
    inner = functional.gelu(functional.linear(states, arrays[f"{head}.dense.weight"], arrays[f"{head}.dense.bias"]))
    scores = functional.linear(
        inner, arrays[f"{head}.dense_prediction.weight"], arrays[f"{head}.dense_prediction.bias"]
    )[..., 0]
    each = functional.binary_cross_entropy_with_logits(scores, replaced, reduction="none")[mask == 1]
    loss = masked + weight * each.mean()
    loss.backward()
    return (
        loss.item(),
        {name: array.grad.numpy() for name, array in arrays.items()},
        scores.detach().numpy(),
        replaced.numpy(),
    )


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_two_networks_have_the_loss_samples_and_gradients_of_those_of_transformers():
    spec = spec_of(DETECTION, embeddings="none")
    task = TASKS.get(DETECTION).configured({"detection_weight": 7.0})
    batch = dict(example_batch(spec, LENGTHS, "detection"))
    batch["uniforms"] = np.linspace(0.02, 0.98, batch["uniforms"].size, dtype=np.float32).reshape(
        batch["uniforms"].shape
    )
    loss, expected, scores, replaced = reference(spec, batch, 7.0)
    [weighted] = task.weighted([filled(spec, batch)])
    real = batch["attention_mask"] == 1
    assert replaced[real].sum() > 2
    for engine in engines(spec).values():
        assert_gradients(engine.gradients([weighted]), expected)
        found = engine.eval_step(weighted)
        assert found.loss_sum / found.count == pytest.approx(loss, rel=GRADIENT)
        assert np.array_equal(found.outputs["replaced"][:3][real], replaced[real])
        assert_near(found.outputs["logits"][:3][real], scores[real], GRADIENT)
        assert not found.outputs["replaced"][3].any()
    evaluator = task.evaluator(
        Encoded(task, spec.schema, {"input_ids": Ragged.of([np.zeros(n, np.int32) for n in LENGTHS])}, 0, 16)
    )
    result = engines(spec)["pytorch"].eval_step(filled(spec, batch | {"scale": np.ones(3, np.float32)}))
    evaluator.update(np.arange(3), filled(spec, batch), result)
    metrics = evaluator.metrics()
    assert metrics["loss"] == pytest.approx(loss, rel=GRADIENT)
    called = scores[real] > 0
    assert metrics["recall_replaced"] == pytest.approx(called[replaced[real] == 1].mean())
    assert metrics["detection_accuracy"] == pytest.approx((called == (replaced[real] == 1)).mean())


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_gradients_reach_the_generators_table_as_the_sharing_says():
    """With one table of the same values in all three: nothing from the discriminator unless the table is shared, and then
    the sum of both."""
    apart = spec_of(DETECTION, embeddings="none")
    table = apart.arrays[TABLE]
    of_generator = f"generator.{TABLE}"
    apart = dataclasses.replace(apart, arrays=apart.arrays | {of_generator: table})
    shared = spec_of(DETECTION, embeddings="shared")
    shared = dataclasses.replace(shared, arrays={name: apart.arrays[name] for name in shared.arrays})
    difference = spec_of(DETECTION, embeddings="gradient-disentangled")
    zero = np.zeros_like(table)
    difference = dataclasses.replace(difference, arrays=apart.arrays | {TABLE: zero})
    assert of_generator not in shared.arrays
    batch = dict(example_batch(apart, LENGTHS, "sharing"))
    without = batch | {"scale": np.zeros_like(batch["scale"])}
    for name in ("pytorch", "mindspore"):
        full = [
            build_engine(load(name), spec, plan_for(spec, method="full"), {}) for spec in (apart, shared, difference)
        ]
        none, one, parts = (engine.gradients([batch]) for engine in full)
        masked = [engine.gradients([without]) for engine in full]
        assert np.array_equal(none[of_generator], masked[0][of_generator]), name
        assert np.array_equal(parts[of_generator], masked[2][of_generator]), name
        assert np.abs(one[TABLE] - masked[1][TABLE]).max() > 1e-3, name
        largest = np.abs(none[TABLE]).max()
        assert np.abs(parts[TABLE] - none[TABLE]).max() <= ACCUMULATION * largest
        assert np.abs(one[TABLE] - none[TABLE] - none[of_generator]).max() <= ACCUMULATION * largest
        assert (masked[2][TABLE] == 0).all()


def test_the_difference_starts_at_zero_and_the_sum_is_what_is_stored(tmp_path):
    new = load_model_spec(model(DETECTION), None, VOCABULARY, 0, 0)
    assert (new.arrays[TABLE] == 0).all()
    assert new.arrays[f"generator.{TABLE}"].std() > 0.1
    layers = {name.split(".")[4] for name in new.arrays if name.startswith("generator.bert.encoder.layer")}
    assert layers == {"0"}, "half of two layers"
    trained = {name: array + normal(1, name, array.shape, 0.1) for name, array in new.arrays.items()}
    save_pretrained(tmp_path, new, trained)
    stored, generator = read_checkpoint(tmp_path), read_checkpoint(tmp_path / "generator")
    assert np.array_equal(stored[TABLE], trained[TABLE] + trained[f"generator.{TABLE}"])
    assert np.array_equal(generator[TABLE], trained[f"generator.{TABLE}"])
    again = load_model_spec(model(DETECTION, str(tmp_path)), None, VOCABULARY, 0, 5)
    assert again.new_parameters == ()
    assert all(np.array_equal(again.arrays[n], a) for n, a in trained.items() if n != TABLE)
    assert np.abs(again.arrays[TABLE] - trained[TABLE]).max() < 1e-6
    save_pretrained(tmp_path / "again", again, again.arrays)
    assert np.abs(read_checkpoint(tmp_path / "again")[TABLE] - stored[TABLE]).max() < 1e-6
    separate = load_model_spec(model(DETECTION, embeddings="none"), None, VOCABULARY, 0, 0)
    assert not np.array_equal(separate.arrays[TABLE], separate.arrays[f"generator.{TABLE}"])


@pytest.mark.needs_pytorch
def test_transformers_reads_the_discriminator_and_the_generator(tmp_path):
    from transformers import BertForMaskedLM, BertModel, ElectraForMaskedLM, ElectraForPreTraining

    for family, classes in (
        ("bert", (BertModel, BertForMaskedLM)),
        ("electra", (ElectraForPreTraining, ElectraForMaskedLM)),
    ):
        spec = spec_of(DETECTION, family)
        folder = tmp_path / family
        save_pretrained(folder, spec, spec.arrays)
        assert json.loads((folder / "config.json").read_text())["architectures"] == [classes[0].__name__]
        for kind, place in zip(classes, (folder, folder / "generator"), strict=True):
            _, report = kind.from_pretrained(place, output_loading_info=True)
            assert not report["mismatched_keys"]
            assert all("pooler" in key for key in report["missing_keys"])
            assert all("discriminator_predictions" in key for key in report["unexpected_keys"]) or family == "electra"
        assert family == "bert" or not report["unexpected_keys"]


def encoded(rows, **options):
    task = TASKS.get(DETECTION).configured(options)
    columns = {"input_ids": Ragged.of(rows), "words": Ragged.of([np.arange(len(row), dtype=np.int32) for row in rows])}
    return Encoded(task, task.schema(FAMILIES.get("bert")), columns, 0, 64, 0, {"mask": 4, "vocabulary": VOCABULARY})


def test_places_and_uniforms_are_functions_of_seed_epoch_and_example():
    one = encoded([np.arange(5, 45, dtype=np.int32), np.arange(5, 25, dtype=np.int32)])

    def made(indices, key, rows=3):
        return one.task.corrupt(collate(one, np.array(indices), rows, 8), one, np.array(indices), key)

    batch = made([0, 1], (3, 1))
    for row in range(2):
        places = batch["positions"][row]
        assert np.array_equal(places[places >= 0], np.flatnonzero(batch["labels"][row] != IGNORE))
    assert (batch["positions"][2] == -1).all()
    assert batch["positions"].shape[1] % 8 == 0
    alone = made([1], (3, 1), 1)
    assert np.array_equal(alone["uniforms"][0], batch["uniforms"][1])
    assert not np.array_equal(made([0, 1], (3, 2))["uniforms"], batch["uniforms"])
    assert np.array_equal(made([0], EVALUATION, 1)["uniforms"], made([0], EVALUATION, 1)["uniforms"])
    many = np.concatenate([made([0], (3, epoch), 1)["uniforms"][0, :6] for epoch in range(400)])
    assert abs(many.mean() - 0.5) < 0.03
    assert 0 <= many.min() < many.max() < 1


def test_a_sample_that_is_the_original_counts_as_original(backend):
    spec = spec_of(DETECTION)
    certain = spec.arrays["generator.cls.predictions.bias"].copy()
    certain[17] = 1e4
    spec = dataclasses.replace(spec, arrays=spec.arrays | {"generator.cls.predictions.bias": certain})
    batch = dict(example_batch(spec, LENGTHS, "certain"))
    hidden = batch["labels"] != IGNORE
    engine = build_engine(backend, spec, plan_for(spec, method="full"), {})
    for label, expected in ((17, 0), (18, hidden.sum())):
        labels = np.where(hidden, label, IGNORE).astype(np.int32)
        assert engine.eval_step(batch | {"labels": labels}).outputs["replaced"].sum() == expected


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_lora_adapts_both_networks_alike_and_dropout_masks_are_the_same():
    spec = spec_of(DETECTION)
    spec = dataclasses.replace(
        spec, config=spec.config | {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    )
    other = dataclasses.replace(spec.companion.spec, config=spec.companion.spec.config | {"hidden_dropout_prob": 0.2})
    spec = dataclasses.replace(spec, companion=dataclasses.replace(spec.companion, spec=other))
    plan = plan_for(spec, ("*.query",))
    assert any(edit.path.startswith("generator.") for edit in plan.edits)
    batch = example_batch(spec, LENGTHS, "lora")
    losses = []
    for name in ("pytorch", "mindspore"):
        engine = build_engine(load(name), spec, plan, nonzero_values(plan))
        losses.append([loss for loss, _ in engine.fetch([engine.train_step([batch], 1e-3) for _ in range(3)])])
    assert_near(np.array(losses[1]), np.array(losses[0]), GRADIENT)


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, 30, 500) / 7, random.random(500) < 0.2
    assert area_under_curve(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-12)
    assert area_under_curve(scores, np.zeros(500, bool)) == 0.5


def test_families_without_a_masked_head_or_of_another_width_are_refused():
    from common.errors import InputError

    with pytest.raises(InputError, match="no head for replaced-token-detection"):
        load_model_spec(model(DETECTION, family="gpt2"), None, VOCABULARY, 0, 0)
    with pytest.raises(InputError, match="must have one table shape"):
        load_model_spec(model(DETECTION, generator={"hidden_size": 8}), None, VOCABULARY, 0, 0)
    with pytest.raises(InputError, match="of one family; this one is a bert, and the generator a roberta"):
        load_model_spec(
            model(DETECTION, embeddings="none", generator={"model_type": "roberta", "pad_token_id": 0}),
            None,
            VOCABULARY,
            0,
            0,
        )
    narrow = load_model_spec(model(DETECTION, embeddings="none", generator={"hidden_size": 8}), None, VOCABULARY, 0, 0)
    assert narrow.arrays[f"generator.{TABLE}"].shape == (VOCABULARY, 8)
    with pytest.raises(InputError, match=r"model\.config\.hiden_size"):
        load_model_spec(model(DETECTION, generator={"hiden_size": 8}), None, VOCABULARY, 0, 0)
    with pytest.raises(InputError, match="detection_weight must be 0 or more"):
        TASKS.get(DETECTION).configured({"detection_weight": -1.0})


def test_a_generator_with_fewer_positions_bounds_the_length():
    from common.training.assembly import positions_of

    full = load_model_spec(model(DETECTION), None, VOCABULARY, 0, 0)
    short = load_model_spec(model(DETECTION, generator={"max_position_embeddings": 10}), None, VOCABULARY, 0, 0)
    assert positions_of(full) == full.config["max_position_embeddings"] > 10
    assert positions_of(short) == 10
