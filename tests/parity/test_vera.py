"""VeRA's shared matrices: PEFT's own, refused where they are others; counts."""

from __future__ import annotations

import numpy as np
import pytest

from common.artifacts.adapter import load as load_adapter
from common.artifacts.adapter import read_adapter
from common.artifacts.adapter import save as save_adapter
from common.errors import InputError
from common.files import load_arrays, save_arrays
from common.methods import METHODS
from common.methods.vera import Projections, projections
from tests.support import tiny_spec


def plan_of(spec, **options):
    found = METHODS.get("vera")
    return found.plan(found.Options("vera", **options), spec)


def saved(folder, spec, plan):
    values = {name: np.full(shape, 0.5, np.float32) for name, shape in plan.shapes().items()}
    save_adapter(folder, plan, spec, values)
    return values


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("seed", [0, 7, -1, 2**64 - 1])
def test_the_matrices_of_a_seed_are_those_that_peft_makes(seed):
    torch = pytest.importorskip("torch")
    model = pytest.importorskip("peft.tuners.vera.model")
    generator = torch.Generator(device="cpu").manual_seed(seed)
    expected = [model._kaiming_init(shape, generator).numpy() for shape in ((6, 48), (96, 6))]
    for ours, theirs in zip(projections(Projections(seed, 6, 48, 96)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-7)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_that_torch_does_not_have_is_refused(seed):
    options = METHODS.get("vera").Options("vera", targets=("query",), rank=4, projection_seed=seed)
    assert [entry for entry, _ in options.problems()] == ["projection_seed"]


def test_a_layer_costs_its_outputs_and_the_rank():
    spec = tiny_spec("bert")
    plan = plan_of(spec, targets=("*.query", "*.intermediate.dense"), rank=6)
    widths = [edit.module.out_features for edit in plan.edits]
    assert plan.counts()["vera_lambda_b"] == sum(widths)
    assert plan.counts()["vera_lambda_d"] == 6 * len(widths)
    assert {edit.arguments.projections.rows for edit in plan.edits} == {max(widths)}


def test_a_file_is_read_with_and_without_its_matrices_and_says_what_it_is(tmp_path):
    spec = tiny_spec("bert")
    for number, kept in enumerate((True, False)):
        plan = plan_of(spec, targets=("*.query",), rank=6, projection_seed=4, save_projection=kept)
        values, folder = saved(tmp_path / str(number), spec, plan), tmp_path / str(number)
        settings, tensors, _ = read_adapter(folder)
        assert ("base_model.vera_A" in tensors) is kept
        shapes = {key.removeprefix("base_model.model."): array.shape for key, array in tensors.items()}
        section = METHODS.get("vera").section(settings, shapes)
        again = plan_of(spec, **{k: tuple(v) if k == "targets" else v for k, v in section.items() if k != "method"})
        for name, array in load_adapter(folder, again, spec).items():
            assert np.array_equal(array, values[name])


@pytest.mark.parametrize(
    ("fault", "said"), [("other", "another matrix"), ("shape", "must be"), ("missing", "is missing, which")]
)
def test_matrices_that_are_not_the_seeds_are_refused(tmp_path, fault, said):
    spec = tiny_spec("bert")
    plan = plan_of(spec, targets=("*.query",), rank=6)
    saved(tmp_path, spec, plan)
    arrays, metadata = load_arrays(tmp_path / "adapter_model.safetensors")
    arrays = dict(arrays)
    if fault == "other":
        arrays["base_model.vera_A"] = -arrays["base_model.vera_A"]
    elif fault == "shape":
        arrays["base_model.vera_A"] = arrays["base_model.vera_A"][:, 1:]
    else:
        del arrays["base_model.vera_A"]
    save_arrays(tmp_path / "adapter_model.safetensors", arrays, metadata)
    with pytest.raises(InputError, match=said):
        load_adapter(tmp_path, plan, spec)


def test_another_rank_or_seed_is_refused_by_entry(tmp_path):
    spec = tiny_spec("bert")
    saved(tmp_path, spec, plan_of(spec, targets=("*.query",), rank=6))
    for options, said in (({"rank": 5}, "r: the adapter"), ({"rank": 6, "projection_seed": 1}, "projection_prng_key")):
        with pytest.raises(InputError, match=said):
            load_adapter(tmp_path, plan_of(spec, targets=("*.query",), **options), spec)
