"""HAN through the command line: trained, resumed, evaluated, asked, compared, and shown."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest

from common.cli.main import main
from common.config import load_config
from common.errors import RunError
from common.files import load_arrays
from common.training.checkpoint import INTEGERS
from common.training.run import train
from tests.end_to_end.test_resume import InterruptsAt, losses
from tests.support import assert_identical

CONFIG = """\
model:
  tokenizer: words:60
  dropout: 0.2
  config: {model_type: han, embedding_size: 8, hidden_size: 6, attention_size: 5}
  task_options: {label_smoothing: 0.1}
data: {name: files, text_column: text, label_column: label, max_length: 24, length_multiple: 8}
adaptation: {method: full}
optimization: {optimizer: sgd, momentum: 0.9, learning_rate: 0.1, schedule: inverse_epochs, decay: 0.05, max_norm: 3.0}
training: {global_batch_size: 4, micro_batch_size: 2, max_steps: 6, epochs: 9, evaluate_every_epochs: null,
           evaluate_every_steps: 3, log_every_steps: 1, metric: accuracy}
"""
TEXT = "A fine film. It is good! The end"


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Reviews of one to three sentences."""
    random, sentences = np.random.default_rng(0), ["A fine film.", "It is bad!", "The end was dull.", "Good"]
    for split in ("train", "validation", "test"):
        rows = (
            f'"{" ".join(random.choice(sentences, random.integers(1, 4)))}",{random.choice(["a", "b"])}'
            for _ in range(13)
        )
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    files = "".join(f"{split}: {tmp_path / split}.csv, " for split in ("train", "validation", "test"))
    (tmp_path / "trial.yaml").write_text(CONFIG.replace("name: files,", f"name: files, files: {{{files}}},"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "trial.yaml"


def arrays(run):
    return load_arrays(run / "model/model.safetensors")[0]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
        pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly]),
    ],
)
def test_a_network_of_documents_goes_through_every_command(experiment, tmp_path, monkeypatch, capsys, name):
    config = load_config(experiment)
    train(config, name, "cpu", tmp_path / "whole", progress=InterruptsAt(None))
    with pytest.raises(RunError, match="after step 4 of 6"):
        train(config, name, "cpu", tmp_path / "broken", progress=InterruptsAt(4))
    train(config, name, "cpu", tmp_path / "broken", resume=True, progress=InterruptsAt(None))
    run, broken = (tmp_path / folder / "trial" / name for folder in ("whole", "broken"))
    assert losses(run) == losses(broken)
    assert_identical(arrays(broken), arrays(run))
    states = [load_arrays(one / "checkpoint/state.safetensors", INTEGERS)[0] for one in (run, broken)]
    assert_identical(*states)
    assert "optimizer.momentum_buffer.han.word_gru.weight_hh_l0" in states[0]
    assert json.loads((run / "summary.json").read_text())["settings"]["optimization"]["optimizer"] == "sgd"
    rates = [
        json.loads(line)["learning_rate"]
        for line in (run / "metrics.jsonl").read_text().splitlines()
        if "grad_norm" in line
    ]
    assert rates == [pytest.approx(0.1 / (1 + 0.05 * epoch)) for epoch in (0, 0, 0, 0, 1, 1)]
    assert np.linalg.norm(arrays(run)["classifier.weight"], axis=1).max() <= 3.0
    assert not arrays(run)["han.embeddings.weight"][0].any()
    assert main(["eval", str(run), "--split", "test"]) == 0
    monkeypatch.setattr(
        sys, "stdin", type("Standard", (), {"buffer": io.BytesIO(f"{TEXT}\n".encode()), "isatty": lambda self: False})()
    )
    capsys.readouterr()
    assert main(["predict", str(run)]) == 0
    label, probability = capsys.readouterr().out.split()
    assert main(["attention", str(run), "--source", TEXT, "--json", "--html", "page.html"]) == 0
    shown, line = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert shown == "page.html"
    assert found["answer"]["label"] == label
    assert found["answer"]["probabilities"][label] == pytest.approx(float(probability), abs=1e-4)
    assert ["".join(word for word, _ in one["words"]) for one in found["sentences"]] == [
        "A fine film. ",
        "It is good! ",
        "The end",
    ]
    assert sum(one["weight"] for one in found["sentences"]) == pytest.approx(1.0, abs=1e-5)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('class="read"') == 3


@pytest.mark.needs_pytorch
def test_a_run_of_another_kind_shows_no_documents(experiment, capsys):
    assert main(["train", str(experiment), "--backend", "pytorch"]) == 0
    assert main(["attention", f"{experiment.parent}/runs/trial/pytorch", "--source", TEXT, "--target", "x"]) == 2
    assert "--target is of an encoder-decoder" in capsys.readouterr().err
