"""`twinlora export`, and the commands that open what it writes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import twinlora
from common import backend as backends
from common.cli.main import main
from common.errors import InputError, RunError
from common.exporting import export as exporting
from common.exporting.export import export_run
from common.exporting.folder import MANIFEST, MODEL, open_export
from common.exporting.runtime import OnnxEngine, run_graph, session
from common.parity.suites.subjects import drawn, methods, pairs
from common.training.assembly import load_engine, open_trained
from common.training.rundir import RunDirectory
from tests.golden.cases import CASES, overrides, write_data
from tests.support import HANGS

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch]
ROOT = Path(__file__).resolve().parents[2]
TAGGER = """\
model:
  task: token-classification
  tokenizer: wordpiece:60
  config: {model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, max_position_embeddings: 16}
data: {name: files, text_column: tokens, label_column: tags, max_length: 16, length_multiple: 8}
adaptation: {method: head}
training: {global_batch_size: 4, max_steps: 2, evaluation_batch_size: 4, metric: f1}
"""
TEXTS = ["up down left", "turn around", "right", "forward back up down left right forward back turn around up up"]


def trained_run(folder: Path, name: str, *extra: str) -> Path:
    """The run of a golden case."""
    [case] = [case for case in CASES if case.name == name]
    write_data(folder)
    (folder / "case.yaml").write_text(case.yaml)
    sets = [part for pair in (*overrides(folder), *extra) for part in ("--set", pair)]
    given = ["train", str(folder / "case.yaml"), "--backend", case.backend, "--device", "cpu", "--output", str(folder)]
    assert main([*given, *sets]) == 0
    return folder / "case" / case.backend


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("run"), "bert-classification-lora-pytorch")


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "out"
    assert main(["export", str(run), str(out)]) == 0
    return out


def answers(capsys, monkeypatch, *arguments: str, texts: list[str] = TEXTS) -> list[dict]:
    """What ``predict --json`` prints for the texts."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(texts).encode())))
    capsys.readouterr()
    assert main(["predict", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def assert_same(found: list[dict], wanted: list[dict], tolerance: float) -> None:
    assert [row["label"] for row in found] == [row["label"] for row in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=tolerance)


def test_an_exported_classifier_answers_as_its_run(run, exported, capsys, monkeypatch):
    assert_same(answers(capsys, monkeypatch, str(exported)), answers(capsys, monkeypatch, str(run)), 1e-5)
    manifest = json.loads((exported / MANIFEST).read_text())
    assert manifest["check"]["largest_difference"] < 1e-5
    assert manifest["labels"] == ["a", "b", "c"]


def test_an_exported_classifier_is_scored_as_its_run(run, exported, capsys):
    scores = []
    for folder in (exported, run):
        capsys.readouterr()
        assert main(["eval", str(folder), "--split", "test"]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    opened = twinlora.open(exported)
    assert opened.evaluate() == pytest.approx(scores[1], abs=1e-5)
    assert [row["label"] for row in opened.predict(TEXTS)] == [
        row["label"] for row in twinlora.open(run).predict(TEXTS)
    ]


def test_an_exported_tagger_is_scored_as_its_run(tmp_path, capsys):
    lines = [{"tokens": ["ann", "saw", word], "tags": ["B-person", "O", "B-place"]} for word in ("rome", "paris") * 4]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "tagger.yaml").write_text(TAGGER)
    sets = [
        part
        for split in ("train", "validation", "test")
        for part in ("--set", f"data.files.{split}={tmp_path}/data.jsonl")
    ]
    given = ["--backend", "pytorch", "--device", "cpu", "--output", str(tmp_path)]
    assert main(["train", str(tmp_path / "tagger.yaml"), *given, *sets]) == 0
    run, out = tmp_path / "tagger" / "pytorch", tmp_path / "out"
    assert main(["export", str(run), str(out)]) == 0
    scores = []
    for folder in (out, run):
        capsys.readouterr()
        assert main(["eval", str(folder)]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert set(scores[0]) == {"loss", "accuracy", "precision", "recall", "f1", "unseen_words"}
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_an_exported_model_needs_no_framework(exported, tmp_path):
    hiding = (
        "import importlib.machinery\nfind = importlib.machinery.PathFinder.find_spec.__func__\n"
        "def find_spec(cls, name, path=None, target=None):\n"
        "    return None if name.split('.')[0] in ('torch', 'mindspore') else find(cls, name, path, target)\n"
        "importlib.machinery.PathFinder.find_spec = classmethod(find_spec)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hiding)
    done = subprocess.run(
        [sys.executable, "-m", "twinlora", "predict", str(exported)],
        input="up down\nleft\n",
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_eight_bit_weights_answer_nearly_the_same(run, tmp_path, capsys, monkeypatch):
    out = tmp_path / "int8"
    assert main(["export", str(run), str(out), "--int8"]) == 0
    assert "int8:" in capsys.readouterr().out
    assert {path.name for path in out.iterdir() if path.name.endswith("onnx")} == {MODEL}
    found = answers(capsys, monkeypatch, str(out))
    for one, other in zip(found, answers(capsys, monkeypatch, str(run)), strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=0.05)
        assert one["probabilities"] != other["probabilities"]
    weights = {entry.data_type for entry in __import__("onnx").load(str(out / MODEL)).graph.initializer}
    assert __import__("onnx").TensorProto.INT8 in weights


def test_an_exported_language_model_writes_what_its_run_writes(tmp_path, capsys):
    run = trained_run(tmp_path, "gpt2-text-lora-pytorch")
    out = tmp_path / "out"
    assert main(["export", str(run), str(out)]) == 0
    texts = []
    for folder in (run, out):
        capsys.readouterr()
        assert main(["generate", str(folder), "--prompt", "up down", "--max-new-tokens", "6", "--json"]) == 0
        texts.append(json.loads(capsys.readouterr().out)["tokens"])
    assert texts[0] == texts[1]
    assert main(["eval", str(out)]) == 2
    assert "it is not scored" in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.needs_mindspore
def test_a_run_in_mindspore_is_exported_as_mindspore_computes_it(tmp_path, capsys, monkeypatch):
    run = trained_run(tmp_path, "bert-classification-head-mindspore")
    assert main(["export", str(run), str(tmp_path / "out")]) == 0
    native = answers(capsys, monkeypatch, str(run), "--backend", "mindspore")
    assert_same(answers(capsys, monkeypatch, str(tmp_path / "out")), native, 1e-4)


@pytest.mark.nightly
def test_a_method_without_merged_form_is_exported_whole(tmp_path, capsys, monkeypatch):
    run = trained_run(
        tmp_path,
        "bert-classification-head-pytorch",
        "adaptation.method=bottleneck",
        "adaptation.size=4",
        "adaptation.targets=['*.dense']",
    )
    assert main(["export", str(run), str(tmp_path / "out")]) == 0
    assert_same(answers(capsys, monkeypatch, str(tmp_path / "out")), answers(capsys, monkeypatch, str(run)), 1e-5)


def test_a_graph_that_computes_something_else_is_not_written(run, tmp_path, monkeypatch):
    trained = open_trained(RunDirectory(run))
    writer = backends.load("pytorch").hf_bridge.onnx
    monkeypatch.setattr(writer, "logits", lambda model, batch: np.zeros((len(batch["input_ids"]), 3), np.float32))
    with pytest.raises(RunError, match=r"within 0\.0001; its logits differ"):
        export_run(trained, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_without_torch_the_reason_is_said(run, tmp_path, monkeypatch):
    trained = open_trained(RunDirectory(run))
    monkeypatch.setattr(exporting.backends, "available", lambda: {"pytorch": False, "mindspore": True})
    with pytest.raises(InputError, match="written by torch's exporter, also those of runs in MindSpore"):
        export_run(trained, tmp_path / "out")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["merge", "EXPORTED", "OUT"], "is an exported model. Give the run"),
        (["export", "EXPORTED", "OUT"], "is an exported model. Give the run"),
        (["eval", "EXPORTED", "--backend", "pytorch"], "Leave --backend and --device out"),
        (["export", "RUN", "EXPORTED"], "is there already"),
    ],
)
def test_what_an_exported_model_cannot_do_is_refused(command, message, run, exported, tmp_path, capsys):
    places = {"EXPORTED": str(exported), "RUN": str(run), "OUT": str(tmp_path / "out")}
    assert main([places.get(part, part) for part in command]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="is an exported model"):
        twinlora.open(exported).merge(tmp_path / "out")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / MODEL).write_bytes(b"\0" + (folder / MODEL).read_bytes()[1:]), "was damaged or replaced"),
        (lambda folder: (folder / MODEL).unlink(), "is missing"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "format"),
        (lambda folder: (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace('"onnx"', '"mindir"', 1)), "must have the format onnx"),
        (lambda folder: (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace('"bert"', '"ernie"', 1)), "has no description"),
        (lambda folder: (folder / "config.yaml").unlink(), "config.yaml"),
    ],
)  # fmt: skip
def test_a_damaged_export_is_named(exported, tmp_path, damage, message):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in exported.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    damage(folder)
    with pytest.raises(InputError, match=message):
        open_export(folder)


def test_the_engine_gives_logits_at_single_positions(run, exported):
    trained = open_export(exported)
    engine = OnnxEngine(trained, threads=1)
    batch = {name: np.ones((2, 4), np.int32) for name in ("input_ids", "attention_mask", "token_type_ids", "labels")}
    batch["labels"] = np.array([0, 1], np.int32)
    native = load_engine(open_trained(RunDirectory(run)), "pytorch", "cpu").eval_step(batch)
    found = engine.eval_step(batch)
    assert found.outputs["logits"] == pytest.approx(native.outputs["logits"], abs=1e-5)
    assert found.count == native.count
    assert found.loss_sum == pytest.approx(native.loss_sum, abs=1e-4)


@pytest.mark.nightly
@pytest.mark.parametrize(("family", "task"), pairs())
def test_every_family_and_head_is_exported_exactly(family, task, tmp_path):
    spec = drawn(family, task, methods(family)["lora"]).spec
    if (reason := exporting.unexportable(spec)) is not None:
        pytest.skip(reason)
    backend = backends.load("pytorch")
    model = backend.build_model(spec, "cpu")
    names = [field.name for field in exporting.FAMILIES.get(family).INPUTS]

    def batch(rows: int, tokens: int) -> dict[str, np.ndarray]:
        random = np.random.default_rng(rows)
        mask = (np.arange(tokens) < np.arange(tokens, tokens - rows, -1).clip(1)[:, None]).astype(np.int32)
        given = {
            "input_ids": random.integers(4, spec.config["vocab_size"], (rows, tokens)) * mask,
            "attention_mask": mask,
        }
        return {name: given.get(name, np.zeros((rows, tokens))).astype(np.int32) for name in names}

    traced = batch(2, 8)
    backend.hf_bridge.onnx.write(model, tmp_path / MODEL, [traced[name] for name in names], names, "logits")
    graph = session(tmp_path / MODEL, 1)
    for rows, tokens in ((1, 1), (1, 9), (3, 5), (4, 30)):
        wanted = backend.hf_bridge.onnx.logits(model, batch(rows, tokens))
        assert run_graph(graph, batch(rows, tokens)) == pytest.approx(wanted, abs=1e-5 * max(1, np.abs(wanted).max()))


@pytest.mark.nightly
@pytest.mark.parametrize(
    "override",
    ["model.quantize=nf4", "model.quantize=int8", "adaptation={method: qat, bits: 4}", "adaptation={method: diffq}"],
)
def test_a_graph_of_few_bits_computes_what_its_run_does(tmp_path, override):
    """As wide numbers: the graph holds weights that are made anew, or are rounded in every pass."""
    run = trained_run(tmp_path, "bert-classification-lora-pytorch", override)
    assert main(["export", str(run), str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["check"]["largest_difference"] < 1e-4
