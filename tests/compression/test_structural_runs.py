"""Runs on Kronecker layers and tensor trains: trained, scored, merged where that is possible, and multiplied out."""

from __future__ import annotations

import json

import pytest

import twinlora
from common.cli.main import main
from common.models.structure import dense
from common.training.opening import open_model
from tests.compression.test_commands import of_spec, outputs
from tests.support import assert_near

pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch]
BACKENDS = ["pytorch", pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly])]
WAYS = {
    "kronecker": ["--set", "factor=4", "--set", "terms=2"],
    "tensor_train": ["--set", "rank=3"],
}


@pytest.fixture(scope="module", params=WAYS)
def small(work, base, request):
    """The run, compressed, and its transform."""
    folder = work.folder / request.param
    targets = ["--targets", "all-linear", "*.word_embeddings"]
    assert (
        main(["compress", str(base), "--with", request.param, *WAYS[request.param], *targets, "-o", str(folder)]) == 0
    )
    return folder


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_adapter_on_it_is_trained_scored_and_merged_into_a_dense_model(work, small, backend, tmp_path, capsys):
    run = work.train(backend, f"lora-{small.name}", model=small)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["model"]["parameters"] == open_model(small).spec.parameter_count()
    capsys.readouterr()
    assert main(["eval", str(run)]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(summary["test"]["loss"], rel=1e-5)
    assert main(["merge", str(run), str(tmp_path / "refused")]) == 2
    assert "Merge with --dense" in capsys.readouterr().err
    assert main(["merge", str(run), str(tmp_path / "plain"), "--dense"]) == 0
    merged = open_model(tmp_path / "plain").spec
    assert merged.edits == ()
    opened = twinlora.open(run, device="cpu")
    assert_near(of_spec(merged, backend), outputs(opened._engine), 1e-5, absolute=True)
    again = open_model(opened.merge(tmp_path / "again", dense=True)).spec
    assert again.fingerprint == merged.fingerprint


@pytest.mark.parametrize("backend", BACKENDS)
def test_its_own_parameters_are_trained_and_stay_in_its_form(work, small, backend, tmp_path):
    run = work.train(backend, f"full-{small.name}", "adaptation={method: full}", model=small)
    assert main(["merge", str(run), str(tmp_path / "merged")]) == 0
    merged = open_model(tmp_path / "merged").spec
    assert merged.edits == open_model(small).spec.edits
    assert_near(of_spec(merged, backend), of_spec(dense(merged), backend), 1e-5, absolute=True)
