"""`twinlora bench latency` on tiny models. No time is judged."""

from __future__ import annotations

import json

import pytest

from common.bench.latency import named
from common.cli.main import main
from tests.exporting.test_export import trained_run

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def test_a_backend_stands_before_a_run():
    assert named("mindspore:runs/a/pytorch") == ("mindspore", "runs/a/pytorch")
    assert named("runs/a:b/pytorch") == (None, "runs/a:b/pytorch")


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_runs_and_graphs_answer_in_turn(tmp_path, capsys):
    run = trained_run(tmp_path, "bert-classification-lora-pytorch")
    assert main(["export", str(run), str(tmp_path / "out")]) == 0
    names = [str(run), f"mindspore:{run}", str(tmp_path / "out")]
    given = ["--threads", "1", "--rounds", "2", "--answers", "3", "--batch", "2", "--tokens", "5", "--device", "cpu"]
    given += ["--score", "validation", "--page", str(tmp_path / "page.html")]
    assert main(["bench", "latency", *names, *given, "--output", str(tmp_path / "latency.json")]) == 0
    found = json.loads((tmp_path / "latency.json").read_text())
    assert (found["rows"], found["tokens"], found["threads"]) == (2, 5, 1)
    assert found["metric"] == {"name": "accuracy", "higher_is_better": True, "split": "validation"}
    assert {name: about["kind"] for name, about in found["artifacts"].items()} == dict(
        zip(names, ("pytorch", "mindspore", "onnx"), strict=True)
    )
    for about in found["artifacts"].values():
        assert len(about["samples"]) == 6
        assert 0 < about["median"] <= about["p95"]
        assert about["sentences_per_second"] == pytest.approx(2 / about["median"])
        assert about["tokens_per_second"] == pytest.approx(10 / about["median"])
        assert about["score"] == found["artifacts"][names[0]]["score"]
    assert found["artifacts"][names[0]]["ratio"] == 1.0
    printed = capsys.readouterr().out
    assert names[2] in printed
    assert "2 x 5 tokens, 1 thread(s)" in printed
    assert names[1] in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("names", "message"), [(["a", "a"], "measured once; received a, a"), (["a", "--answers", "0"], "at least 1")]
)
def test_what_cannot_be_measured_is_refused(names, message, capsys):
    assert main(["bench", "latency", *names]) == 2
    assert message in capsys.readouterr().err
