"""A family, a task and a method in a temporary folder outside the package train, save, load, count and appear in
``inspect``, and agree between the backends, without an edit anywhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support import run_commands

pytestmark = pytest.mark.interpreted

TOY = Path(__file__).parent / "toy"
CONFIG = """\
model:
  task: order
  tokenizer: bpe:300
  config: {model_type: bag, width: 8}
data: {name: files, text_column: text, max_length: 16}
adaptation: {method: scale, targets: [mix]}
training: {global_batch_size: 4, max_steps: 6, evaluate_every_steps: 3, evaluate_every_epochs: null, log_every_steps: 1}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(TOY, folder / "toy")
    words = ["ant", "bee", "cow", "dog", "eel"]
    for split in ("train", "validation", "test"):
        rows = [f"{first} {second}" for first in words for second in words if first != second]
        (folder / f"{split}.txt").write_text("\n".join(rows) + "\n")
    (folder / "trial.yaml").write_text(CONFIG)
    return folder


def twinlora(folder, *commands, stdin=""):
    """What each command prints, one after the other in a process of their own; ``stdin`` is for the last."""
    environment = {**os.environ, "TWINLORA_PLUGINS": str(folder / "toy"), "TWINLORA_CACHE": str(folder / "cache")}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    files = ["--set", "data.files={train: train.txt, validation: validation.txt, test: test.txt}"]
    given = [[*command, *(files if command[0] in ("inspect", "train") else [])] for command in commands]
    return run_commands(given, folder, environment, stdin)


def test_planted_members_are_counted_before_anything_is_built(folder):
    [shown] = twinlora(folder, ["inspect", "trial.yaml"])
    assert "bag, order" in shown
    assert ["scale", "8"] in [line.split() for line in shown.splitlines()]
    assert ["head", "18"] in [line.split() for line in shown.splitlines()]


def test_what_a_changed_task_makes_of_texts_is_not_read_from_the_cache_of_the_code_before(folder, tmp_path):
    for path in folder.iterdir():
        if path.name in ("toy", "trial.yaml") or path.suffix == ".txt":
            (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    [before] = twinlora(tmp_path, ["inspect", "trial.yaml"])
    task = tmp_path / "toy" / "common" / "tasks" / "order.py"
    text = task.read_text()
    task.write_text(text.replace("encode_texts(rows, tokenizer, max_length)", "encode_texts(rows, tokenizer, 1)"))
    [after] = twinlora(tmp_path, ["inspect", "trial.yaml"])
    task.write_text(text)
    assert "longest 1, 20 truncated" in after
    assert "longest 1, 20 truncated" not in before
    assert twinlora(tmp_path, ["inspect", "trial.yaml"]) == [before]


def training(folder, backend):
    """The run of the planted members, and what trains it where it is not there."""
    run = f"runs/trial/{backend}"
    there = (folder / run / "summary.json").exists()
    return run, [] if there else [["train", "trial.yaml", "--backend", backend]]


BACKENDS = [pytest.param(name, marks=getattr(pytest.mark, f"needs_{name}")) for name in ("pytorch", "mindspore")]


@pytest.mark.parametrize(
    "backend",
    [BACKENDS[0], pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly])],
)
def test_planted_members_train_save_load_and_answer(folder, backend):
    run, before = training(folder, backend)
    scores, answers = twinlora(folder, *before, ["eval", run], ["predict", run], stdin="ant bee\ndog cow\n")[-2:]
    summary = json.loads((folder / run / "summary.json").read_text())
    assert summary["trainable"] == {"scale": 8, "head": 18, "total": 26}
    assert summary["adapter_bytes"] > 0
    assert json.loads(scores) == summary["test"]
    assert answers.split() in (["yes", "no"], ["yes"] * 2, ["no"] * 2)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("only", ["*bag/order*", pytest.param("*bag*", marks=pytest.mark.nightly)])
def test_planted_members_agree_between_the_backends(folder, only):
    found = {backend: training(folder, backend) for backend in ("pytorch", "mindspore")}
    before = [command for _, commands in found.values() for command in commands]
    twinlora(folder, *before, ["parity", "members", "--only", only, "-o", "parity"])
    report = json.loads((folder / "parity/report.json").read_text())
    names = {case["id"] for case in report["cases"]}
    assert {"models/bag/order/lora"} <= names
    assert "models/bag/sequence-classification/lora" in names or only != "*bag*"
    scaled = [name for name in names if name.startswith("models/bag/") and name.endswith("/scale")]
    assert scaled or only != "*bag*"  # every method has one pair of a family and a task
    losses = [
        [json.loads(line)["loss"] for line in (folder / run / "metrics.jsonl").read_text().splitlines()]
        for run, _ in found.values()
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
