"""Structured pruning and the removal of layers: what is left computes what it computed, in both backends."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from common.backend import load
from common.cli.main import main
from common.compression import TRANSFORMS
from common.compression.compress import read_options
from common.compression.importance import Group, importances
from common.compression.prune import kept
from common.errors import InputError
from common.methods.merge import merged_model
from common.models.checkpoint import read_config, save_pretrained
from common.models.modules import ATTENTION
from common.models.structure import dense
from common.training.opening import open_model
from tests.support import assert_near, build_engine, make_batch, nonzero_values, plan_for, tiny_spec

PRUNE, DROP = TRANSFORMS.get("prune"), TRANSFORMS.get("drop_layers")
ROUNDING = 2e-6  #: of logits of size 1
BACKENDS = ["pytorch", pytest.param("mindspore", marks=pytest.mark.needs_mindspore)]


@pytest.fixture(params=[pytest.param("pytorch", marks=pytest.mark.needs_pytorch), BACKENDS[1]])
def backend(request):
    """Each backend's package."""
    return load(request.param)


def logits(backend, spec, method="full", values=None, lengths=(9, 4, 6)):
    plan = plan_for(spec, (), method)
    return build_engine(backend, spec, plan, values).eval_step(make_batch("bert", lengths)).outputs["logits"]


def silent(spec, share=0.5):
    """The model with heads and units that nothing reads: the first ones of every layer, fewer in the later layers."""
    arrays = dict(spec.arrays)
    for index in range(spec.config["num_hidden_layers"]):
        layer = f"bert.encoder.layer.{index}"
        for name, unit in ((f"{layer}.attention.output.dense.weight", 4), (f"{layer}.output.dense.weight", 1)):
            weight = arrays[name].copy()
            count = max(1, int(weight.shape[1] / unit * share) - index)
            weight[:, : count * unit] = 0
            arrays[name] = weight
    return dataclasses.replace(spec, arrays=arrays)


def importance(backend, spec, options):
    """On a batch, as the command finds it on data."""
    groups = PRUNE.groups(spec, options)
    plan = plan_for(spec, (), "full")
    gradient = build_engine(backend, spec, plan).gradients([make_batch("bert", (9, 4, 6))])
    return importances(groups, spec.arrays, [gradient])


def four_heads(**entries):
    return tiny_spec("bert", num_attention_heads=4, **entries)


def test_what_nothing_reads_goes_and_the_function_stays(backend):
    spec = silent(four_heads())
    options = PRUNE.Options(heads=5 / 8, units=1 - 23 / 48)  # all that is silent: 2 + 1 of 8 heads, 12 + 11 of 48 units
    found = importance(backend, spec, options)
    assert [int((one == 0).sum()) for one in found.values()] == [2, 1, 12, 11]
    smaller, report = PRUNE.apply(spec, options, found)
    assert report.findings == {"heads": [2, 3], "units": [12, 13]}
    assert_near(logits(backend, smaller), logits(backend, spec), ROUNDING, absolute=True)
    assert smaller.parameter_count() == sum(array.size for array in smaller.arrays.values()) < spec.parameter_count()


def test_a_head_and_a_unit_count_by_what_the_loss_loses_with_a_mask(backend):
    """Against central differences of the loss by factors of a head's columns and of a unit's weights and bias."""
    spec = tiny_spec("bert", num_hidden_layers=1)
    options = PRUNE.Options()
    found = importance(backend, spec, options)
    layer = "bert.encoder.layer.0"

    def loss(names, axis, part, factor):
        arrays = dict(spec.arrays)
        for name in names:
            array = arrays[name].copy()
            np.moveaxis(array, axis, 0)[part] *= factor
            arrays[name] = array
        engine = build_engine(backend, dataclasses.replace(spec, arrays=arrays), plan_for(spec, (), "full"))
        result = engine.eval_step(make_batch("bert", (9, 4, 6)))
        return result.loss_sum / result.count

    cases = [
        (f"{layer}.attention.self", [f"{layer}.attention.output.dense.weight"], 1, slice(8, 16), 1),
        (f"{layer}.intermediate.dense", [f"{layer}.intermediate.dense.{leaf}" for leaf in ("weight", "bias")], 0, 5, 5),
    ]
    for path, names, axis, part, index in cases:
        slope = (loss(names, axis, part, 1.03) - loss(names, axis, part, 0.97)) / 0.06
        assert found[path][index] == pytest.approx(abs(slope), rel=2e-2, abs=2e-5)


def test_groups_are_summed_before_the_absolute_value_and_averaged_over_examples():
    group = Group("g", 2, (("w", 1), ("b", 0)))
    arrays = {"w": np.ones((1, 4), np.float32), "b": np.ones(2, np.float32)}
    gradients = [
        {"w": np.array([[1, -1, 2, 2]], np.float32), "b": np.array([0, -5], np.float32)},
        {"w": np.array([[3, 1, 0, 0]], np.float32), "b": np.array([0, 1], np.float32)},
    ]
    assert importances([group], arrays, gradients)["g"].tolist() == [2.0, 1.0]
    with pytest.raises(InputError, match="received none"):
        importances([group], arrays, [])


def test_layers_keep_numbers_of_their_own_or_the_same_one():
    found = [np.array([5.0, 4.0, 3.0, 0.1]), np.array([9.0, 0.0, 0.0, 0.0])]
    assert [one.tolist() for one in kept(found, 0.5, "model")] == [[0, 1, 2], [0]]
    assert [one.tolist() for one in kept(found, 0.5, "layer")] == [[0, 1], [0, 1]]
    assert [len(one) for one in kept(found, 0.01, "model")] == [1, 1]


def test_a_pruned_model_is_read_back_as_it_was_and_multiplied_out(backend, tmp_path):
    spec = four_heads()
    smaller, _ = PRUNE.apply(spec, PRUNE.Options(), importance(backend, spec, PRUNE.Options()))
    counts = [module.arguments.count for module in smaller.modules if module.kind is ATTENTION]
    assert sum(counts) == 6
    save_pretrained(tmp_path, smaller, smaller.arrays)
    assert {edit["layer"] for edit in read_config(tmp_path)["twinlora"]["edits"]} == {"sliced"}
    whole = dense(smaller)
    assert whole.shapes() == spec.shapes()
    assert_near(logits(backend, whole), logits(backend, smaller), ROUNDING, absolute=True)


def test_adapters_of_a_pruned_model_are_merged_and_it_is_pruned_and_factored_again(backend):
    spec = four_heads()
    smaller, _ = PRUNE.apply(spec, PRUNE.Options(), importance(backend, spec, PRUNE.Options()))
    plan = plan_for(smaller, ["*.query", "*.intermediate.dense"])
    values = nonzero_values(plan)
    engine = build_engine(backend, smaller, plan, values)
    batch = make_batch("bert", (9, 4, 6))
    trained = {**{name: smaller.arrays[name] for name in plan.shapes() if name in smaller.arrays}, **values}
    merged, _ = merged_model(plan, smaller, trained)
    assert merged.edits == smaller.edits
    assert_near(logits(backend, merged), engine.eval_step(batch).outputs["logits"], 1e-5, absolute=True)
    options = PRUNE.Options(heads=0.7, units=0.5)
    again, report = PRUNE.apply(smaller, options, importance(backend, smaller, options))
    assert sum(report.findings["units"]) == 18
    factored, _ = TRANSFORMS.get("svd").apply(again, read_options(TRANSFORMS.get("svd"), {"share": 0.9}))
    assert_near(logits(backend, dense(factored)), logits(backend, factored), 1e-5, absolute=True)


@pytest.mark.parametrize("family", ["albert", "gpt2", "mpnet", "deberta"])
def test_other_families_are_refused_with_the_reason(family):
    from common.config.schema import ModelConfig
    from common.models import FAMILIES
    from common.models.loading import load_model_spec

    entries = {"model_type": family, "vocab_size": 60, **FAMILIES.get(family).tiny()}
    spec = load_model_spec(ModelConfig(None, "sequence-classification", None, 0.0, entries), ("a", "b"), 60, 1, 0)
    with pytest.raises(InputError, match=rf"the families .*bert.* have; this is a {family} model"):
        PRUNE.apply(spec, PRUNE.Options())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 0}, "heads must be greater than 0"),
        ({"heads": 1, "units": 1}, "nothing is taken out"),
        ({"targets": ["*.query"]}, "targets and exclude are not for this transform"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        read_options(PRUNE, options)


def test_a_prefix_before_layers_of_different_heads_is_refused():
    spec = silent(four_heads())
    found = {
        group.path: np.arange(group.count) + index for index, group in enumerate(PRUNE.groups(spec, PRUNE.Options()))
    }
    smaller, report = PRUNE.apply(spec, PRUNE.Options(heads=5 / 8, units=1.0), found)
    assert len(set(report.findings["heads"])) > 1
    with pytest.raises(InputError, match="layers of 2, 3 heads"):
        plan_for(smaller, (), "prefix", tokens=2)


def test_deleted_layers_are_those_named_and_the_rest_keeps_its_weights(backend):
    spec = tiny_spec("bert", num_hidden_layers=4)
    smaller, report = DROP.apply(spec, DROP.Options(layers=(1, 2)))
    assert smaller.config["num_hidden_layers"] == 2
    assert report.findings == {"left": [0, 3]}
    name = "attention.self.query.weight"
    assert (smaller.arrays[f"bert.encoder.layer.1.{name}"] == spec.arrays[f"bert.encoder.layer.3.{name}"]).all()
    assert set(smaller.shapes()) == set(smaller.arrays)
    engine = build_engine(backend, smaller, plan_for(smaller, ["*.query"]))
    assert np.isfinite(engine.eval_step(make_batch("bert", (9, 4))).outputs["logits"]).all()


def test_layers_of_a_pruned_model_are_deleted_with_their_edits():
    spec = silent(four_heads(num_hidden_layers=3))
    options = PRUNE.Options()
    pruned, _ = PRUNE.apply(spec, options, {g.path: np.arange(g.count) * 1.0 for g in PRUNE.groups(spec, options)})
    smaller, _ = DROP.apply(pruned, DROP.Options(layers=(0,)))
    again, _ = DROP.apply(spec, DROP.Options(layers=(0,)))
    assert [edit.path for edit in smaller.edits] == [
        edit.path.replace("layer.1", "layer.0").replace("layer.2", "layer.1")
        for edit in pruned.edits
        if "layer.0" not in edit.path
    ]
    assert dense(smaller).shapes() == again.shapes()


@pytest.mark.parametrize("layers", [[], [0, 0], [-1], [2], [0, 1]])
def test_layers_that_cannot_be_deleted_are_refused(layers):
    with pytest.raises(InputError, match="layers must"):
        DROP.apply(tiny_spec("bert"), read_options(DROP, {"layers": layers}))


@pytest.mark.slow
@pytest.mark.needs_pytorch
@pytest.mark.parametrize(
    "name", ["pytorch", pytest.param("mindspore", marks=[*BACKENDS[1].marks, pytest.mark.nightly])]
)
def test_the_command_prunes_a_run_and_the_result_is_trained_scored_and_taught(work, base, tmp_path, name):
    folder = work.folder / f"pruned-{name}"
    command = ["compress", str(base), "--with", "prune", "--set", "heads=0.5", "--device", "cpu", "--samples", "8"]
    assert main([*command, "--backend", name, "-o", str(folder)]) == 0
    record = json.loads((folder / "compression.json").read_text())
    assert record["observed"] == {"data": "files", "samples": 8, "backend": name}
    assert record["findings"] == {"heads": [1], "units": [18]}
    run = work.train(name, f"pruned-run-{name}", f"distillation.teacher={base}", model=folder)
    assert main(["eval", str(run)]) == 0
    assert main(["merge", str(run), str(tmp_path / "merged")]) == 0
    assert open_model(tmp_path / "merged").spec.edits == open_model(folder).spec.edits
