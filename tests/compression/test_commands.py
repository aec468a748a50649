"""``twinlora compress``, and every other command on what it writes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys

import numpy as np
import pytest

from common import backend as backends
from common.cli.main import main
from common.compression.compress import compress
from common.config import load_config, to_yaml
from common.errors import InputError, RunError
from common.files import load_arrays, save_arrays
from common.methods.merge import merged_model
from common.models.checkpoint import save_pretrained
from common.models.structure import dense
from common.training.assembly import load_engine, open_trained
from common.training.opening import open_model
from common.training.progress import Progress
from common.training.run import train
from common.training.rundir import RunDirectory
from tests.support import assert_identical, assert_near, build_engine, make_batch, plan_for, tiny_spec

pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch, pytest.mark.interpreted]
BACKENDS = ["pytorch", pytest.param("mindspore", marks=pytest.mark.needs_mindspore)]
OPTIONS = ["--with", "svd", "--set", "rank=4"]


@pytest.fixture(scope="module")
def small(work, base):
    """The run, compressed."""
    folder = work.folder / "small"
    assert main(["compress", str(base), *OPTIONS, "-o", str(folder)]) == 0
    return folder


def test_the_table_says_what_the_files_hold(base, tmp_path, capsys):
    assert main(["compress", str(base), *OPTIONS, "--targets", "*.query", "*.key", "-o", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0].rpartition(".")[2] for line in lines[1:3]] == ["query", "key"]
    arrays, _ = load_arrays(tmp_path / "out" / "model.safetensors")
    assert f"{sum(array.size for array in arrays.values()):,}" in lines[-2]
    assert lines[-1] == str(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        *("config.json", "model.safetensors", "README.md", "tokenizer.json"),
    }
    assert lines[1] in (tmp_path / "out" / "README.md").read_text()


def test_it_is_scored_before_it_is_trained_again(work, base, small, tmp_path, capsys):
    """As the training that starts from it is, by an experiment that has another model; a folder alone says nothing of data."""
    run = work.train("pytorch", "before", "adaptation={method: full}", model=small)
    capsys.readouterr()
    experiment = str(base / "config.yaml")
    assert main(["eval", str(small), "--config", experiment, "--split", "validation"]) == 0
    before = json.loads((run / "summary.json").read_text())["before"]
    assert json.loads(capsys.readouterr().out) == pytest.approx(before, rel=1e-5)
    for split in ("train", "validation", "test"):
        rows = (work.folder / f"{split}.csv").read_text().replace(",b", ",c")
        (tmp_path / f"{split}.csv").write_text(rows)
    others = [f"data.files.{split}={tmp_path / split}.csv" for split in ("train", "validation", "test")]
    other = tmp_path / "other.yaml"
    other.write_text(to_yaml(load_config(experiment, others)))
    for arguments, message in (
        ([], "Give an experiment: --config CONFIG"),
        (["--config", str(other)], "labels ('a', 'b'), but this data set has ('a', 'c')"),
        (["--config", experiment, "--model", str(small)], "--model names the base of an adapter"),
    ):
        assert main(["eval", str(small), *arguments]) == 2
        assert message in capsys.readouterr().err


def test_the_folder_says_how_it_was_made(base, small):
    recorded = json.loads((small / "config.json").read_text())["twinlora"]
    [record] = recorded["history"]
    assert (record["transform"], record["options"]["rank"], record["source"]) == ("svd", 4, str(base))
    assert record["fingerprint"] == open_model(base).spec.fingerprint
    assert {edit["layer"] for edit in recorded["edits"]} == {"factored"}


def test_an_existing_folder_is_refused_and_nothing_is_left_of_a_failure(base, small, tmp_path, capsys, monkeypatch):
    before = {path.name: path.read_bytes() for path in small.iterdir()}
    assert main(["compress", str(base), *OPTIONS, "-o", str(small)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in small.iterdir()} == before
    assert main(["compress", str(base), "--with", "svd", "--set", "rank=400", "-o", str(tmp_path / "out")]) == 2
    assert "above the smaller side" in capsys.readouterr().err
    monkeypatch.setattr("common.compression.compress._readme", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compress(base, "svd", {"rank": 4}, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--with", "svdd", "--set", "rank=4"], "transform must be one of .*svd.*Nearest: svd"),
        (["--with", "svd", "--set", "rank"], "KEY=VALUE"),
        (["--with", "svd", "--set", "rnk=4"], "rnk is unknown. Nearest: rank"),
        ([*OPTIONS, "--set", "targets=['*.key']", "--targets", "*.query"], "Targets are given twice"),
        ([*OPTIONS, "--task", "language-modeling"], "was trained for sequence-classification"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(arguments, message, base, tmp_path, capsys):
    assert main(["compress", str(base), *arguments, "-o", str(tmp_path / "out")]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compressed_run_is_trained_scored_used_merged_and_inspected(
    work, small, backend, tmp_path, capsys, monkeypatch
):
    assert main(["inspect", *work.experiment(model=small)]) == 0
    count = open_model(small).spec.parameter_count()
    assert f"{count:,} parameters" in capsys.readouterr().out
    run = work.train(backend, "lora", model=small)
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["model"]["parameters"]) == ("finished", count)
    capsys.readouterr()
    assert main(["eval", str(run)]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["loss"] == pytest.approx(summary["test"]["loss"], rel=1e-5)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"up down left left left\ndown down left\n")))
    assert main(["predict", str(run)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    trained = open_trained(RunDirectory(run))
    adapted = outputs(load_engine(trained, backend, "cpu"))
    for name, options in (("merged", []), ("plain", ["--dense"])):
        assert main(["merge", str(run), str(tmp_path / name), *options]) == 0
        again = open_model(tmp_path / name).spec
        assert bool(again.edits) == (name == "merged")
        assert_near(of_spec(again, backend), adapted, 1e-5, absolute=True)


def outputs(engine):
    ids = np.array([[2, 5, 9, 7], [2, 8, 0, 0]], np.int32)
    batch = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int32), "token_type_ids": 0 * ids}
    return engine.eval_step({**batch, "labels": np.array([0, 1], np.int32)}).outputs["logits"]


def of_spec(spec, backend):
    return outputs(build_engine(backends.load(backend), spec, plan_for(spec, (), "full")))


@pytest.mark.parametrize("method", ["full", "head"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_method_trains_a_compressed_model_and_its_run_is_opened_and_compressed_again(
    work, small, backend, method, tmp_path
):
    run = work.train(backend, method, f"adaptation={{method: {method}}}", model=small)
    trained = open_trained(RunDirectory(run))
    opened = open_model(run).spec
    assert {edit.path for edit in opened.edits} == {edit.path for edit in open_model(small).spec.edits}
    assert_identical(opened.arrays, merged_model(trained.plan, trained.spec, trained.arrays)[0].arrays)
    before = open_model(small).spec.arrays
    moved = {name for name, array in opened.arrays.items() if not np.array_equal(array, before[name])}
    assert any(".first." in name for name in moved) == (method == "full")
    assert "classifier.weight" in moved
    compress(run, "svd", {"rank": 3, "targets": ["*.word_embeddings"]}, tmp_path / "twice")
    twice = open_model(tmp_path / "twice").spec
    assert len(twice.edits) == len(opened.edits) + 1
    assert len(twice.history) == 2


class InterruptsAt(Progress):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def say(self, text):
        pass

    def step(self, event):
        if event["step"] == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupted_run_on_a_compressed_model_ends_in_the_same_bytes(work, small, backend, tmp_path):
    config = load_config(*_configuration(work.experiment(model=small)))
    train(config, backend, "cpu", tmp_path / "whole", progress=InterruptsAt(None))
    with pytest.raises(RunError, match="after step 4 of 6"):
        train(config, backend, "cpu", tmp_path / "broken", progress=InterruptsAt(4))
    train(config, backend, "cpu", tmp_path / "broken", resume=True, progress=InterruptsAt(None))
    whole, broken = (tmp_path / name / "trial" / backend for name in ("whole", "broken"))
    left, right = ((run / "adapter" / "adapter_model.safetensors").read_bytes() for run in (whole, broken))
    assert left == right


def _configuration(arguments):
    return arguments[0], arguments[2::2]


def test_a_model_folder_needs_a_task_where_its_architecture_is_no_head(base, small, tmp_path):
    config = json.loads((small / "config.json").read_text())
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in small.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    with pytest.raises(InputError, match=r"BertModel, which is the head of no task. Give the task, one of"):
        open_model(copy)
    assert_identical(open_model(copy, "sequence-classification").spec.arrays, open_model(small).spec.arrays)


def test_a_head_that_the_source_lacks_is_left_out_again(small, tmp_path):
    plain = dense(open_model(small).spec)
    save_pretrained(tmp_path / "bare", plain, plain.arrays)
    arrays = {name: array for name, array in plain.arrays.items() if not name.startswith("classifier")}
    save_arrays(tmp_path / "bare" / "model.safetensors", arrays)
    (tmp_path / "bare" / "tokenizer.json").write_bytes((small / "tokenizer.json").read_bytes())
    (tmp_path / "bare" / "tokenizer_config.json").write_bytes((small / "tokenizer_config.json").read_bytes())
    compress(tmp_path / "bare", "svd", {"rank": 2}, tmp_path / "out")
    found, _ = load_arrays(tmp_path / "out" / "model.safetensors")
    assert not any(name.startswith("classifier") for name in found)
    assert set(open_model(tmp_path / "out").spec.new_parameters) == {"classifier.weight", "classifier.bias"}


def test_dense_writes_what_transformers_loads(base, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    report = compress(base, "svd", {"rank": 2}, tmp_path / "plain", dense=True)
    compress(base, "svd", {"rank": 2}, tmp_path / "small")
    network = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "plain").eval()
    ids = torch.tensor([[2, 5, 9, 7]])
    with torch.no_grad():
        theirs = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.numpy()
    batch = {
        "input_ids": ids.numpy().astype(np.int32),
        "attention_mask": np.ones((1, 4), np.int32),
        "token_type_ids": np.zeros((1, 4), np.int32),
        "labels": np.zeros(1, np.int32),
    }
    spec = open_model(tmp_path / "small").spec
    ours = build_engine(backends.load("pytorch"), spec, plan_for(spec, (), "full")).eval_step(batch).outputs["logits"]
    assert_near(ours, theirs, 1e-5, absolute=True)
    assert report.after < report.before


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_language_model_folder_is_compressed_without_naming_its_task(small, backend, tmp_path, capsys):
    spec = tiny_spec("gpt2", vocab_size=400)
    save_pretrained(tmp_path / "gpt2", spec, spec.arrays)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "gpt2" / name).write_bytes((small / name).read_bytes())
    arguments = ["--with", "svd", "--set", "rank=3", "--targets", "*.c_attn", "*.c_fc", "wpe"]
    assert main(["compress", str(tmp_path / "gpt2"), *arguments, "-o", str(tmp_path / "out")]) == 0
    assert "transformer.h.0.attn.c_attn" in capsys.readouterr().out
    loaded = open_model(tmp_path / "out").spec
    assert {edit.module.kind.name for edit in loaded.edits} == {"transposed_linear", "embedding"}
    batch, last = make_batch("gpt2", [5, 3]), np.array([4, 2], np.int32)
    package = backends.load(backend)
    ours, theirs = (
        build_engine(package, model, plan_for(model, (), "full")).logits_at(batch, last)
        for model in (loaded, dense(loaded))
    )
    assert_near(ours, theirs, 1e-5, absolute=True)
