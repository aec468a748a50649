"""Runs with numbers of few bits: from a command to a folder, a training on it, its scores, predictions and merges."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import sys

import pytest

import twinlora
from common.backend import load
from common.cli.main import main
from common.errors import InputError
from common.models.structure import dense
from common.training import fingerprints
from common.training.assembly import open_trained
from common.training.opening import open_model
from common.training.rundir import RunDirectory
from common.training.several import open_set
from tests.compression.test_commands import outputs
from tests.support import assert_near, build_engine, plan_for

pytestmark = [pytest.mark.needs_pytorch]
BACKENDS = ["pytorch", pytest.param("mindspore", marks=pytest.mark.needs_mindspore)]


def of_spec(spec, backend):
    """Of a model whose weights cannot be trained."""
    plan = dataclasses.replace(plan_for(spec, (), "bitfit"), head=())
    return outputs(build_engine(load(backend), spec, plan, {}))


@pytest.fixture(scope="module")
def integers(work, base):
    """The run, with activations quantised by what its data gave."""
    folder = work.folder / "few-bits"
    targets = ["--targets", "all-linear", "*.word_embeddings"]
    options = ["--set", "activations=tensor", "--samples", "8"]
    assert main(["compress", str(base), "--with", "int8", *options, *targets, "-o", str(folder)]) == 0
    return folder


def test_the_folder_says_what_it_holds_and_takes_fewer_bytes(integers, base, capsys):
    report = json.loads((integers / "compression.json").read_text())
    assert report["observed"]["samples"] == 8
    assert report["findings"]["bytes of these modules"]["share"] < 0.35
    spec = open_model(integers).spec
    assert {edit.arguments.activations for edit in spec.edits if edit.module.kind.matrix} == {"tensor"}
    scales = [array for name, array in spec.arrays.items() if name.endswith("input_scale")]
    assert scales
    assert all(0 < scale[0] < 1 for scale in scales)
    assert spec.bytes() < open_model(base).spec.bytes()


def test_ranges_are_the_largest_inputs_that_examples_gave(integers, work, base):
    """Against hooks of torch on the same examples."""
    import numpy as np
    import torch

    from common.compression.behaviour import Behaviour

    opened = open_model(base)
    observed = Behaviour(samples=8, backend="pytorch", device="cpu").of(base, opened)
    spec, seen = opened.spec, {}
    model = load("pytorch").build_model(spec, "cpu")
    paths = [edit.path for edit in open_model(integers).spec.edits if edit.module.kind.matrix]
    for path in paths:
        model.get_submodule(path).register_forward_pre_hook(
            lambda module, given, path=path: seen.update({path: max(seen.get(path, 0.0), float(given[0].abs().max()))})
        )
    with torch.no_grad():
        for batch in observed.examples():
            model.logits({name: torch.from_numpy(array).long() for name, array in batch.items()})
    held = open_model(integers).spec.arrays
    for path in paths:
        assert held[f"{path}.input_scale"][0] == pytest.approx(seen[path] / 127, rel=1e-5), path
    assert np.isfinite(list(seen.values())).all()


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_adapter_on_nf4_is_trained_inspected_scored_and_merged(work, base, backend, tmp_path, capsys, monkeypatch):
    plain = work.folder / f"plain-{backend}"
    assert main(["merge", str(base), str(plain)]) == 0
    run = work.train(backend, f"nf4-{backend}", "model.quantize=nf4", model=plain)
    summary = json.loads((run / "summary.json").read_text())
    capsys.readouterr()
    assert main(["inspect", *work.experiment("model.quantize=nf4", model=plain)]) == 0
    assert f"{summary['model']['bytes']:,} bytes with integers" in capsys.readouterr().out
    assert main(["eval", str(run)]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(summary["test"]["loss"], rel=1e-5)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"up down left\n")))
    assert main(["predict", str(run), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.split("\t")[0] in ("a", "b")
    assert main(["merge", str(run), str(tmp_path / "merged")]) == 0
    assert main(["merge", str(run), str(tmp_path / "dense"), "--dense"]) == 0
    merged, whole = open_model(tmp_path / "merged").spec, open_model(tmp_path / "dense").spec
    assert merged.edits
    assert whole.edits == ()
    opened = twinlora.open(run, device="cpu")
    expected = outputs(opened._engine)
    assert_near(of_spec(whole, backend), expected, 1e-5, absolute=True)
    assert_near(of_spec(merged, backend), expected, 1e-5, absolute=True)
    assert main(["train", *work.experiment("model.quantize=laser", model=plain), "--backend", backend]) == 2
    assert "stores weights in few bits: int8, nf4" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_qat_run_is_scored_as_it_was_trained_and_merged_into_integers(work, base, backend, tmp_path, capsys):
    run = work.train(backend, f"qat-{backend}", "adaptation={method: qat, bits: 4}")
    summary = json.loads((run / "summary.json").read_text())
    capsys.readouterr()
    assert main(["eval", str(run)]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(summary["test"]["loss"], rel=1e-5)
    assert main(["merge", str(run), str(tmp_path / "integers")]) == 0
    merged = open_model(tmp_path / "integers").spec
    assert {edit.arguments.bits for edit in merged.edits} == {4}
    expected = outputs(twinlora.open(run, device="cpu")._engine)
    assert_near(of_spec(merged, backend), expected, 0.05, absolute=True)  # an activation on the edge of two integers
    assert_near(of_spec(dense(merged), backend), expected, 0.1, absolute=True)


@pytest.mark.slow
def test_attention_of_a_teacher_that_merges_into_integers_is_refused(work, capsys):
    run = work.train("pytorch", "qat-teacher", "adaptation={method: qat}", "training.max_steps=1")
    section = f"distillation={{teacher: {run}, attention: mse}}"
    command = ["--backend", "pytorch", "--device", "cpu", "--output", str(work.folder / "qat-student")]
    capsys.readouterr()
    assert main(["train", *work.experiment(section), *command]) == 2
    assert "attention.self.query is no plain linear layer; multiply it out with --dense" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.nightly
def test_a_diffq_run_reports_its_bits(work, tmp_path):
    run = work.train("pytorch", "diffq", "adaptation={method: diffq, penalty: 1000, rate: 100}")
    found = json.loads((run / "summary.json").read_text())["findings"]
    assert 2 <= found["mean_bits"] < 8
    assert found["megabytes"] < found["megabytes_float32"] / 4
    assert main(["merge", str(run), str(tmp_path / "rounded")]) == 0
    expected = outputs(twinlora.open(run, device="cpu")._engine)
    assert_near(of_spec(open_model(tmp_path / "rounded").spec, "pytorch"), expected, 1e-5, absolute=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("quantize", [pytest.param("int8", marks=pytest.mark.nightly), "nf4"])
def test_memory_counts_the_stored_bytes_and_nothing_that_a_frozen_weight_would_keep(backend, quantize, capsys):
    def account(*overrides):
        capsys.readouterr()
        given = [
            "model.source=null",
            "model.tokenizer=bpe:300",
            "adaptation.bias=none",
            "adaptation.dropout=0",
            *overrides,
        ]
        sizes = "hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 2"
        entries = f"model.config={{model_type: bert, {sizes}}}"
        arguments = [part for entry in (*given, entries) for part in ("--set", entry)]
        assert main(["memory", "bert_sst2", *arguments, "--backend", backend, "--length", "32", "--json"]) == 0
        return json.loads(capsys.readouterr().out)[0]

    plain, few = account(), account(f"model.quantize={quantize}")
    assert few["activations"] == plain["activations"]
    assert few["trained"] == plain["trained"]
    linear = 2 * (4 * 64 * 64 + 2 * 64 * 128) + 64 * 64  # with the pooler
    saved = plain["weights"] - few["weights"]
    assert (0.7 if quantize == "int8" else 0.85) * 4 * linear < saved < 4 * linear
    assert "adapters" in few["components"]


@pytest.mark.parametrize("name", ["int8", "nf4"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_folder_is_inspected_as_it_stands(work, base, name, bits, tmp_path, capsys):
    """Weights count as what they stand for, whatever bytes they share."""
    if name == "nf4" and bits != 4:
        pytest.skip("NF4 has four bits")
    options = ["--set", f"bits={bits}", "--set", "activations=none"] if name == "int8" else []
    assert main(["compress", str(base), "--with", name, *options, "-o", str(tmp_path / "small")]) == 0
    spec, plain = open_model(tmp_path / "small").spec, open_model(base).spec
    assert spec.parameter_count() == plain.parameter_count() == sum(plain.counts().values())
    report = json.loads((tmp_path / "small" / "compression.json").read_text())
    assert report["model"]["parameters_after"] == report["model"]["parameters_before"] == plain.parameter_count()
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "small")]) == 0
    said = capsys.readouterr().out
    assert f"{plain.parameter_count():,} parameters, {spec.bytes():,} bytes with integers" in said
    weights = sum(plain.arrays[f"{edit.path}.weight"].size for edit in spec.edits)
    held = [array for key, array in spec.arrays.items() if key.rpartition(".")[0] in {edit.path for edit in spec.edits}]
    size = sum(array.nbytes for array in held) - sum(spec.arrays[f"{edit.path}.bias"].nbytes for edit in spec.edits)
    assert f"{len(spec.edits)} x {spec.edits[0].layer} (" in said
    assert f"{weights:,} weights in {size:,} bytes, {8 * size / weights:.2f} bits each" in said
    assert "data " not in said
    assert main(["inspect", str(base)]) == 0
    assert "method  lora" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "small"), "--set", "seed=1"]) == 2
    assert "belong to an experiment" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path)]) == 2


def test_adapters_on_layers_of_equal_integers_and_other_settings_share_no_base(work, base, tmp_path):
    """The integers are the same whether activations are quantised, and what is computed is not."""
    runs = {}
    for activations in ("none", "token"):
        folder = tmp_path / activations
        assert (
            main(["compress", str(base), "--with", "int8", "--set", f"activations={activations}", "-o", str(folder)])
            == 0
        )
        runs[activations] = work.train("pytorch", f"on-{activations}", "training.max_steps=2", model=folder)
    specs = [open_model(tmp_path / activations).spec for activations in runs]
    assert specs[0].fingerprint == specs[1].fingerprint
    assert fingerprints.of_base(specs[0]) != fingerprints.of_base(specs[1])
    with pytest.raises(InputError, match="Adapters share one base model"):
        open_set(runs)
    assert set(open_set({"a": runs["none"], "b": runs["none"]})) == {"a", "b"}
    trained = open_trained(RunDirectory(runs["none"]))
    shutil.copytree(tmp_path / "token", tmp_path / "none", dirs_exist_ok=True)
    with pytest.raises(InputError, match=r"began with other inputs .*\n  layers: was"):
        open_trained(trained.run)
