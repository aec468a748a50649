"""Token classification and masked language modelling from the command line: trained, resumed, scored, asked,
continued."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.cli.main import main
from common.files import load_arrays
from common.training.progress import Progress
from tests.support import free_port

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("ann", "bob", "saw", "met", "rome", "paris", "in", "##s", "!")
TAGS = {"ann": "B-person", "bob": "B-person", "rome": "B-place", "paris": "B-place"}
MODEL = """\
model:
  task: %s
  tokenizer: %s
  dropout: 0.1
  config: {model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, max_position_embeddings: 32}
adaptation: {%s}
optimization: {learning_rate: 5.0e-3}
training: {global_batch_size: 4, micro_batch_size: 2, max_steps: 4, evaluate_every_steps: 2, log_every_steps: 1, compile: false,
           evaluation_batch_size: 4, metric: %s}
"""
DATA = "data: {name: files, max_length: 16, length_multiple: 16, %s}\n"
KINDS = {
    "token-classification": ("rank: 2, alpha: 4, targets: ['*.query']", "f1", "label_column: tags"),
    "masked-language-modeling": ("method: full", "loss", "text_column: text"),
}
BACKENDS = [
    pytest.param(name, marks=getattr(pytest.mark, f"needs_{name}"), id=name) for name in ("pytorch", "mindspore")
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Sentences, their tags, a vocabulary, and an experiment for each task."""
    random = np.random.default_rng(0)
    (tmp_path / "bert").mkdir()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join([*special, *WORDS]) + "\n")
    for split, size in (("train", 14), ("validation", 6), ("test", 5)):
        sentences = [list(map(str, random.choice(WORDS[:7], random.integers(2, 9)))) for _ in range(size)]
        lines = [f"{word}\t{TAGS.get(word, 'O')}" for words in sentences for word in (*words, "")]
        (tmp_path / f"{split}.conll").write_text("\n".join("" if line == "\tO" else line for line in lines))
        (tmp_path / f"{split}.txt").write_text("\n".join(map(" ".join, sentences)))
    for task, (method, metric, columns) in KINDS.items():
        text = MODEL % (task, tmp_path / "bert", method, metric) + DATA % columns
        (tmp_path / f"{task}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(task, folder, name="run", *more):
    kind = "conll" if task == "token-classification" else "txt"
    files = [f"--set=data.files.{split}={folder}/{split}.{kind}" for split in ("train", "validation", "test")]
    return [f"{task}.yaml", "--name", name, *files, *more]


def arrays(folder):
    [file] = folder.glob("*.safetensors")
    return load_arrays(file)[0]


def interrupt_at(monkeypatch, at):
    def step(self, event):
        if event["step"] == at:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "step", step)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("task", KINDS)
def test_a_run_is_resumed_scored_and_asked(folder, backend, task, monkeypatch, capsys):
    assert main(["inspect", *command(task, folder)]) == 0
    assert "test " in capsys.readouterr().out
    assert main(["train", *command(task, folder, "whole"), "--backend", backend]) == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        assert main(["train", *command(task, folder, "parts"), "--backend", backend]) == 1
    assert main(["train", *command(task, folder, "parts"), "--backend", backend, "--resume"]) == 0
    whole, parts = (folder / "runs" / name / backend for name in ("whole", "parts"))
    kept = "adapter" if task == "token-classification" else "model"
    first, second = arrays(whole / kept), arrays(parts / kept)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    summary = json.loads((whole / "summary.json").read_text())
    capsys.readouterr()
    assert main(["eval", str(whole)]) == 0
    assert json.loads(capsys.readouterr().out) == pytest.approx(summary["test"], rel=1e-6)
    line = "ann saw rome !" if task == "token-classification" else "ann [MASK] [MASK] !"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{line}\n".encode() * 2)))
    assert main(["predict", str(whole), "--json"]) == 0
    answers = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert len(answers) == 2
    assert answers[0] == answers[1]
    if task == "token-classification":
        assert answers[0]["words"] == line.split()
        assert set(answers[0]["tags"]) <= {"O", "B-person", "B-place"}
        assert [span["text"] for span in answers[0]["spans"]] == [
            word for word, tag in zip(answers[0]["words"], answers[0]["tags"], strict=True) if tag != "O"
        ]
    else:
        best = [mask[0]["token"] for mask in answers[0]["masks"]]
        assert len(answers[0]["masks"][0]) == 5
        assert "[MASK]" not in answers[0]["filled"]
        assert answers[0]["filled"] == f"ann {best[0]} {best[1]} !"


@pytest.mark.needs_pytorch
def test_blank_lines_and_words_beyond_the_length_are_answered(folder, monkeypatch, capsys):
    task = "token-classification"
    assert main(["train", *command(task, folder), "--backend", "pytorch"]) == 0
    lines = f"{'ann ' * 20}\n\nrome\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    capsys.readouterr()
    assert main(["predict", "runs/run/pytorch"]) == 1
    said = capsys.readouterr()
    assert "line 2" in said.err
    long, blank, short = said.out.split("\n")[:3]
    assert [pair.endswith("/?") for pair in long.split()] == [False] * 14 + [True] * 6
    assert blank == ""
    assert short.startswith("rome/")


@pytest.mark.needs_pytorch
def test_a_line_without_a_mask_is_refused(folder, monkeypatch, capsys):
    assert main(["train", *command("masked-language-modeling", folder), "--backend", "pytorch"]) == 0
    for options, status in (((), 1), (("--strict",), 2)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ann saw rome\n")))
        assert main(["predict", "runs/run/pytorch", *options]) == status
        assert "must hold [MASK]" in capsys.readouterr().err


@pytest.mark.needs_pytorch
def test_a_classifier_begins_from_a_masked_language_model(folder):
    """The new pooler is trained with the classifier, and what was learnt is where it begins."""
    assert main(["train", *command("masked-language-modeling", folder), "--backend", "pytorch"]) == 0
    (folder / "labelled.csv").write_text("text,label\n" + "ann saw,a\nrome in,b\n" * 6)
    (folder / "classifier.yaml").write_text(
        "data: {name: files, label_column: label, max_length: 16, files: {train: labelled.csv}}\n"
        "adaptation: {rank: 2, alpha: 4, targets: ['*.query']}\n"
        "training: {global_batch_size: 4, max_steps: 2, metric: accuracy}\n"
    )
    given = ["--model", "runs/run/pytorch/model", "--backend", "pytorch"]
    assert main(["train", "classifier.yaml", *given]) == 0
    assert main(["merge", "runs/classifier/pytorch", "merged"]) == 0
    before, after = arrays(folder / "runs/run/pytorch/model"), arrays(folder / "merged")
    key = "bert.encoder.layer.0.output.dense.weight"
    assert before[key].tobytes() == after[key].tobytes()
    assert "bert.pooler.dense.weight" in after
    assert "cls.predictions.bias" not in after


@pytest.mark.needs_pytorch
def test_a_metric_that_the_tags_do_not_have_is_refused_before_anything_is_written(folder, capsys):
    more = ("--set", "training.metric=f1_macro")
    given = command("token-classification", folder, "run", *more)
    assert main(["train", *given, "--backend", "pytorch"]) == 2
    assert "training.metric must be one of loss, accuracy, precision, recall, f1" in capsys.readouterr().err
    assert not (folder / "runs").exists()


@pytest.mark.needs_pytorch
def test_a_new_tokenizer_is_trained_on_the_words(folder):
    given = command("token-classification", folder, "run", "--set", "model.tokenizer=bpe:270")
    assert main(["train", *given, "--backend", "pytorch"]) == 0
    vocabulary = json.loads((folder / "runs/run/pytorch/tokenizer/tokenizer.json").read_text())["model"]["vocab"]
    assert {"an", "om"} & set(vocabulary)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize(
    ("task", "backend"),
    [
        pytest.param("masked-language-modeling", "pytorch", marks=(pytest.mark.needs_pytorch, pytest.mark.nightly)),
        pytest.param("token-classification", "pytorch", marks=(pytest.mark.needs_pytorch, pytest.mark.nightly)),
        pytest.param("token-classification", "mindspore", marks=(pytest.mark.needs_mindspore, pytest.mark.nightly)),
    ],
)
def test_two_processes_report_what_one_does(folder, task, backend):
    given = command(task, folder)
    assert main(["train", *given, "--backend", backend, "--output", "one"]) == 0
    script = ["bash", str(ROOT / f"scripts/{backend}/distributed.sh"), *given, "--processes", "2", "--output", "two"]
    script += ["--port", free_port(), "--logs", "logs", "--device", "cpu"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(script, capture_output=True, text=True, env={**os.environ, "PATH": path}, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (json.loads((folder / f"{name}/run/{backend}/summary.json").read_text()) for name in ("one", "two"))
    for split in ("before", "validation", "test"):
        assert two[split] == pytest.approx(one[split], rel=1e-4)
