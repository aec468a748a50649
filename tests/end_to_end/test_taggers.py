"""Chains of tags and music through the command line: train, go on, evaluate, predict, compare, open again."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal

import numpy as np
import pytest

from common.cli.main import main
from common.config import load_config
from common.errors import RunError
from common.training.progress import Progress
from common.training.run import train

TAGGER = """\
model:
  task: crf-tagging
  task_options: {scheme: bioes, constrained: true}
  tokenizer: tokens:40
  config: {model_type: bilstm-cnn, word_size: 8, character_filters: 4, lstm_size: 6, dropout: 0.1}
data: {name: files, label_column: tags, files: {train: train.conll, validation: validation.conll, test: test.conll}}
adaptation: {method: full}
optimization: {learning_rate: 0.05}
training: {global_batch_size: 8, epochs: 12, evaluate_every_steps: 8, evaluate_every_epochs: null, log_every_steps: 1,
           metric: f1}
"""
MUSIC = """\
model: {task: polyphonic-music, tokenizer: words:8, config: {model_type: rnn, cell: gru, hidden_size: 6}}
data: {name: jsb, directory: music, max_length: 10, length_multiple: 10}
adaptation: {method: full}
optimization: {learning_rate: 0.05}
training: {global_batch_size: 4, max_steps: 6, evaluate_every_steps: 3, evaluate_every_epochs: null, log_every_steps: 1}
"""
BACKENDS = [
    pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
    pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly]),
]


class InterruptsAt(Progress):
    """Sends the signal of Ctrl-C when a step is logged."""

    def __init__(self, at: int):
        super().__init__()
        self.at = at

    def say(self, text):
        pass

    def step(self, event):
        if event["step"] == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sentences in which a capital begins a name of one word or two, and scales on a piano."""
    folder, random = tmp_path_factory.mktemp("tags"), np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        sentences = []
        for _ in range(16):
            name = [("Ann", "B-person"), ("Lee", "I-person")][: random.integers(1, 3)]
            words = [("we", "O"), ("saw", "O"), *name, (".", "O")]
            sentences.append("\n".join(f"{word}\t{tag}" for word, tag in words[random.integers(0, 3) :]))
        (folder / f"{split}.conll").write_text("\n\n".join(sentences) + "\n")
    rolls = {
        split: [[[key, key + 4] for key in range(start, start + 6)] for start in range(8)]
        for split in ("train", "valid", "test")
    }
    (folder / "music").mkdir()
    (folder / "music/rolls.json").write_text(json.dumps(rolls))
    (folder / "tagger.yaml").write_text(TAGGER)
    (folder / "music.yaml").write_text(MUSIC)
    return folder


@pytest.fixture
def twinlora(folder, monkeypatch, capsys):
    """The command line, in this process and in the folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TWINLORA_CACHE", str(folder / "cache"))

    def run(*arguments, stdin=""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(list(arguments))
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    return run


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_chain_of_tags_is_trained_and_used(folder, twinlora, backend):
    twinlora("train", "tagger.yaml", "--backend", backend)
    run = folder / "runs/tagger" / backend
    summary = json.loads((run / "summary.json").read_text())
    assert summary["data"]["labels"] == ["O", "B-person", "I-person", "E-person", "S-person"]
    assert json.loads(twinlora("eval", str(run))) == summary["test"]
    assert summary["validation"]["f1"] > 0.5
    answer = json.loads(twinlora("predict", str(run), "--jsonl", "--json", stdin='{"words": ["Ann", "Lee", "saw"]}\n'))
    assert {tag[0] for tag in answer["tags"]} <= {"O", "B", "I"}
    opened = twinlora("inspect", "tagger.yaml", "--model", str(run / "model"))
    assert "head loaded" in opened


@pytest.mark.parametrize("backend", BACKENDS)
def test_music_is_learned_and_continued(folder, twinlora, backend):
    twinlora("train", "music.yaml", "--backend", backend)
    run = folder / "runs/music" / backend
    summary = json.loads((run / "summary.json").read_text())
    assert json.loads(twinlora("eval", str(run))) == summary["test"]
    assert summary["validation"]["loss"] < summary["before"]["loss"]
    answer = json.loads(twinlora("predict", str(run), "--jsonl", "--json", stdin='{"frames": [[3, 7], [4, 8]]}\n'))
    assert len(answer["probabilities"]) == 88
    assert set(answer["keys"]) == {key for key, p in enumerate(answer["probabilities"]) if p > 0.5}
    twinlora("train", "music.yaml", "--backend", backend, "--name", "longer", "--set", "training.max_steps=3")


@pytest.mark.nightly
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_was_interrupted_ends_in_the_bytes_of_one_that_was_not(folder, twinlora, backend):
    config = load_config(folder / "tagger.yaml")
    whole, again = (folder / "runs" / name / backend for name in ("whole", "again"))
    twinlora("train", "tagger.yaml", "--backend", backend, "--name", "whole")
    with pytest.raises(RunError, match=r"after step 8 of 24"):
        train(dataclasses.replace(config, name="again"), backend, progress=InterruptsAt(8))
    twinlora("train", "tagger.yaml", "--backend", backend, "--name", "again", "--resume")
    file = "model/model.safetensors"
    assert (again / file).read_bytes() == (whole / file).read_bytes()
