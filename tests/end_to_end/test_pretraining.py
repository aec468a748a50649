"""Pre-training from raw text by command, resumed, scored and asked; what comes out is where other tasks begin."""

from __future__ import annotations

import io
import json
import os
import signal

import numpy as np
import pytest

from common.cli.main import main
from common.files import load_arrays
from common.training.progress import Progress

WORDS = ["ann", "saw", "rome", "and", "bob", "went", "home", "by", "sea", "again"]
CONFIG = """
model:
  task: %s
  tokenizer: %s
  dropout: 0.1
  task_options: %s
  config: {model_type: %s, num_hidden_layers: 2, hidden_size: 16, num_attention_heads: 2, intermediate_size: 24, max_position_embeddings: 34}
data: {name: files, max_length: 24, length_multiple: 8}
adaptation: {method: full}
optimization: {learning_rate: 1.0e-3}
training: {global_batch_size: 4, micro_batch_size: 2, max_steps: 6, evaluate_every_epochs: null, evaluate_every_steps: 3, log_every_steps: 1, metric: %s}
"""
KINDS = {
    "pairs": ("pretraining", "wordpiece:60", "{whole_words: true}", "bert", "next_accuracy"),
    "detection": ("replaced-token-detection", "wordpiece:60", "{packing: doc_sentences}", "bert", "auc"),
    "roberta": ("masked-language-modeling", "masked-bpe:300", "{packing: full_sentences}", "roberta", "loss"),
}
BACKENDS = [
    pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
    pytest.param("mindspore", marks=(pytest.mark.needs_mindspore, pytest.mark.nightly)),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Documents of a few sentences, between blank lines."""
    random = np.random.default_rng(0)
    for split, size in (("train", 24), ("validation", 8), ("test", 6)):
        lines = []
        for _ in range(size):
            lines += [" ".join(random.choice(WORDS, random.integers(3, 9))) + "." for _ in range(random.integers(2, 6))]
            lines.append("")
        (tmp_path / f"{split}.txt").write_text("\n".join(lines))
    for name, entries in KINDS.items():
        (tmp_path / f"{name}.yaml").write_text(CONFIG % entries)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(name, folder, run, backend):
    files = [f"--set=data.files.{split}={folder}/{split}.txt" for split in ("train", "validation", "test")]
    return ["train", f"{name}.yaml", "--name", run, "--backend", backend, *files]


def arrays(folder):
    return {
        f"{path.parent.name}/{name}": array
        for path in sorted(folder.rglob("model.safetensors"))
        for name, array in load_arrays(path)[0].items()
    }


def interrupt_at(monkeypatch, at):
    def step(self, event):
        if event["step"] == at:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "step", step)


def ask(monkeypatch, capsys, run, line):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{line}\n".encode())))
    capsys.readouterr()
    assert main(["predict", str(run), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["pairs", "detection", pytest.param("roberta", marks=pytest.mark.nightly)])
def test_a_pretraining_is_resumed_scored_asked_and_continued_by_a_classifier(
    folder, backend, kind, monkeypatch, capsys
):
    assert main(command(kind, folder, "whole", backend)) == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 4)
        assert main(command(kind, folder, "parts", backend)) == 1
    assert main([*command(kind, folder, "parts", backend), "--resume"]) == 0
    whole, parts = (folder / "runs" / name / backend for name in ("whole", "parts"))
    first, second = arrays(whole / "model"), arrays(parts / "model")
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert any(name.startswith("generator/") for name in first) == (kind == "detection")
    summary = json.loads((whole / "summary.json").read_text())
    capsys.readouterr()
    assert main(["eval", str(whole)]) == 0
    assert json.loads(capsys.readouterr().out) == pytest.approx(summary["test"], rel=1e-5)
    mask = "<mask>" if kind == "roberta" else "[MASK]"
    answer = ask(monkeypatch, capsys, whole, "ann saw rome" if kind == "detection" else f"ann {mask} rome")
    if kind == "detection":
        assert "".join(token["token"].removeprefix("##") for token in answer["tokens"]) == "annsawrome"
        assert all(0 < token["probability"] < 1 for token in answer["tokens"])
    else:
        assert len(answer["masks"]) == 1
    (folder / "labelled.csv").write_text("text,label\n" + "ann saw,a\nrome again,b\n" * 6)
    (folder / "classifier.yaml").write_text(
        "data: {name: files, label_column: label, max_length: 16, files: {train: labelled.csv}}\n"
        "adaptation: {rank: 2, alpha: 4, targets: ['*.query']}\n"
        "training: {global_batch_size: 4, max_steps: 2, metric: accuracy}\n"
    )
    model = ["--model", f"runs/whole/{backend}/model", "--backend", backend]
    assert main(["train", "classifier.yaml", *model]) == 0
    assert main(["merge", f"runs/classifier/{backend}", "merged"]) == 0
    key = next(name for name in first if name.startswith("model/") and name.endswith("layer.0.output.dense.weight"))
    after = load_arrays(folder / "merged" / "model.safetensors")[0]
    assert after[key.removeprefix("model/")].tobytes() == first[key].tobytes()
    assert not any(name.startswith("generator") for name in after)


@pytest.mark.needs_pytorch
def test_documents_that_are_not_found_are_refused_before_anything_is_written(folder, capsys):
    given = command("pairs", folder, "run", "pytorch")
    assert main([*given, "--set", "model.task_options={documents: headings}"]) == 2
    assert "at least two documents" in capsys.readouterr().err
    assert not (folder / "runs").exists()


@pytest.mark.needs_pytorch
@pytest.mark.parametrize(
    ("sharing", "table"),
    [
        ("none", "generator.bert.embeddings.word_embeddings"),
        ("shared", "bert.embeddings.word_embeddings"),
        ("gradient-disentangled", "generator.bert.embeddings.word_embeddings"),
    ],
)
def test_an_adapter_that_no_checkpoint_could_hold_is_refused_before_training(folder, capsys, sharing, table):
    options = [
        f"model.task_options={{embeddings: {sharing}}}",
        'adaptation={method: lora, rank: 2, alpha: 4, targets: ["*.word_embeddings"]}',
    ]
    given = [part for option in options for part in ("--set", option)]
    assert main([*command("detection", folder, "run", "pytorch"), *given]) == 2
    assert f"An adapter of {table} could not be merged" in capsys.readouterr().err
    assert not (folder / "runs").exists()


@pytest.mark.needs_pytorch
def test_a_generator_that_stays_behind_is_said_when_its_network_is_shared(folder, capsys):
    assert main([*command("detection", folder, "run", "pytorch"), "--set", "training.max_steps=1"]) == 0
    run = folder / "runs" / "run" / "pytorch"
    capsys.readouterr()
    assert main(["push", str(run), "--to", "me/mine", "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert f"{run / 'model' / 'generator'} is a network of its own" in shown.err
    assert "generator" not in shown.out.partition("\n\n")[0]
    assert main(["push", str(run / "model" / "generator"), "--to", "me/other", "--dry-run"]) == 0
    assert "model.safetensors" in capsys.readouterr().out
