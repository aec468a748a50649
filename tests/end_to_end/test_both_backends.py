"""One configuration file, real data, both backends: the runs agree step by step, and each reads what the other
wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]

LOSS = 1e-4  #: relative, each step; see tests/tolerances.py for what it is made of


@pytest.fixture(scope="module")
def runs(tmp_path_factory, shared_data, minilm_folder) -> dict[str, Path]:
    """SST-2 with the pretrained MiniLM, cut short, dropout off; trained once by each backend through the command
    line."""
    root = tmp_path_factory.mktemp("runs")
    cuts = [
        "data.max_examples={train: 192, validation: 64, test: 64}",
        "model.dropout=0.0",
        "adaptation.dropout=0.0",
        "training.epochs=1",
        "training.evaluate_every_epochs=0.5",
    ]
    options = [part for cut in cuts for part in ("--set", cut)]
    places = ["--data-dir", str(shared_data("sst2-sentences")), "--model", str(minilm_folder), "--output", str(root)]
    for backend in ("pytorch", "mindspore"):
        assert main(["train", "bert_sst2", "--backend", backend, "--device", "cpu", *places, *options]) == 0
    return {backend: root / "bert_sst2" / backend for backend in ("pytorch", "mindspore")}


def losses(run: Path) -> np.ndarray:
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return np.array([event["loss"] for event in events if event["event"] == "step"])


def test_every_step_has_the_same_loss(runs):
    ours, theirs = losses(runs["pytorch"]), losses(runs["mindspore"])
    assert len(ours) >= 6
    assert len(theirs) == len(ours)
    np.testing.assert_allclose(theirs, ours, rtol=LOSS, atol=0, equal_nan=False)


def test_the_scores_agree_before_and_after(runs):
    summaries = {backend: json.loads((run / "summary.json").read_text()) for backend, run in runs.items()}
    for when in ("before", "validation", "test"):
        ours, theirs = (summaries[backend][when] for backend in ("pytorch", "mindspore"))
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=LOSS)
        assert ours["accuracy"] == theirs["accuracy"]
    assert summaries["pytorch"]["model"]["fingerprint"] == summaries["mindspore"]["model"]["fingerprint"]
    assert summaries["pytorch"]["trainable"] == summaries["mindspore"]["trainable"]


@pytest.mark.parametrize(("written", "read"), [("pytorch", "mindspore"), ("mindspore", "pytorch")])
def test_a_run_of_one_backend_is_evaluated_by_the_other(runs, written, read, capsys):
    summary = json.loads((runs[written] / "summary.json").read_text())
    capsys.readouterr()
    assert main(["eval", str(runs[written]), "--backend", read, "--device", "cpu", "--split", "test"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["accuracy"] == summary["test"]["accuracy"]
    assert scores["loss"] == pytest.approx(summary["test"]["loss"], rel=LOSS)


def test_merged_checkpoints_of_both_backends_are_the_same_model(runs, tmp_path):
    from common.files import load_arrays

    merged = {}
    for backend, run in runs.items():
        assert main(["merge", str(run), str(tmp_path / backend)]) == 0
        merged[backend] = load_arrays(tmp_path / backend / "model.safetensors")[0]
    assert merged["pytorch"].keys() == merged["mindspore"].keys()
    for name, array in merged["pytorch"].items():
        if name.endswith("key.bias"):
            continue  # its true gradient is zero, so that AdamW scales rounding noise up; no output depends on it (docs/parity.md)
        np.testing.assert_allclose(
            merged["mindspore"][name], array, rtol=0, atol=2e-4 * np.abs(array).max(), err_msg=name, equal_nan=False
        )


def test_the_comparison_page_names_both_runs_and_is_whole(runs, tmp_path):
    page = tmp_path / "page.html"
    assert main(["compare", str(runs["pytorch"]), str(runs["mindspore"]), "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "pytorch" in text.lower()
    assert "mindspore" in text.lower()
    assert text.rstrip().endswith("</html>")
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert 'src="http' not in text
