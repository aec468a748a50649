"""Sentence classifiers on words through the command line: train from published vectors, evaluate, predict, open
again."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from common.cli.main import main
from common.files import load_arrays

CONFIG = """\
model:
  tokenizer: tokens:40
  vectors: vectors.txt
  config: {{model_type: {family}, embedding_size: 4, embedding: {embedding}, {entries}}}
data: {{name: files, text_column: text, label_column: label, max_length: 12, length_multiple: 12}}
adaptation: {{method: full}}
optimization: {{learning_rate: 0.05}}
training: {{global_batch_size: 8, max_steps: 6, evaluate_every_steps: 3, evaluate_every_epochs: null,
            log_every_steps: 1, metric: accuracy}}
"""
NETWORKS = {
    "textcnn": ("multichannel", "filters: 4, kernel_sizes: [2, 3]"),
    "cnn-classifier": ("static", "filters: 4, kernel_sizes: [2, 3], condensed_size: 4"),
    "gaussian-nb": ("trained", "dropout: 0.1"),
}
#: in every run; the others in the nightly run
USUAL = ("textcnn", "pytorch")
CASES = [
    pytest.param(
        *case,
        marks=[getattr(pytest.mark, f"needs_{case[1]}"), *([] if case == USUAL else [pytest.mark.nightly])],
    )
    for case in ((family, backend) for family in NETWORKS for backend in ("pytorch", "mindspore"))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Texts that hold one of two words among others, and vectors of some of these words."""
    folder, random = tmp_path_factory.mktemp("words"), np.random.default_rng(0)
    others = ["한국/NNP", "the", "ㅎ", "film", "is"]
    for split in ("train", "validation", "test"):
        rows = []
        for row in range(32):
            words = [*random.choice(others, 3), ("good", "bad")[row % 2]]
            rows.append(f"{' '.join(random.permutation(words))},{('yes', 'no')[row % 2]}")
        (folder / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "vectors.txt").write_text("good 1 0 0 1\nbad -1 0 0 1\nthe 0 1 0 0\nsuperb 1 0 0 1\n", encoding="utf-8")
    for family, (embedding, entries) in NETWORKS.items():
        text = CONFIG.format(family=family, embedding=embedding, entries=entries)
        (folder / f"{family}.yaml").write_text(text)
    return folder


@pytest.fixture
def twinlora(folder, monkeypatch, capsys):
    """The command line, in this process and in the folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TWINLORA_CACHE", str(folder / "cache"))

    def run(*arguments, stdin=""):
        files = ["data.files={train: train.csv, validation: validation.csv, test: test.csv}"]
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main([*arguments, *(["--set", *files] if arguments[0] in ("train", "inspect") else [])])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    return run


@pytest.mark.parametrize(("family", "backend"), CASES)
def test_a_classifier_trains_evaluates_predicts_and_is_opened_again(folder, twinlora, backend, family):
    twinlora("train", f"{family}.yaml", "--backend", backend)
    run = folder / "runs" / family / backend
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["model"]["vectors"]["exact"], summary["model"]["vectors"]["words"]) == (3, 7)
    assert json.loads(twinlora("eval", str(run))) == summary["test"]
    answers = twinlora("predict", str(run), stdin="the good ㅎ\nbad film\n").split()
    assert answers[0] in ("yes", "no")
    prefix = family.replace("-", "_")
    arrays, _ = load_arrays(run / "model/model.safetensors")
    table = arrays.get(f"{prefix}.static_embeddings.weight", arrays[f"{prefix}.embeddings.weight"])
    assert ([1, 0, 0, 1] in table.tolist()) == (NETWORKS[family][0] != "trained")
    opened = twinlora("inspect", f"{family}.yaml", "--set", "model.vectors=null", "--model", str(run / "model"))
    assert "head loaded" in opened


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
        pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly]),
    ],
)
def test_words_of_the_file_are_known_that_no_training_text_has(folder, twinlora, backend):
    twinlora(
        "train", "cnn-classifier.yaml", "--backend", backend, "--set", "model.vectors_vocabulary=true", "--name", "file"
    )
    run = folder / "runs/file" / backend
    coverage = json.loads((run / "summary.json").read_text())["model"]["vectors"]
    assert (coverage["exact"], coverage["words"]) == (4, 8)
    answers = twinlora(
        "predict", str(run), "--json", stdin="the good film\nthe superb film\nthe superbly film\n"
    ).splitlines()
    seen, alike, unknown = (json.loads(answer)["probabilities"] for answer in answers)
    assert seen == alike
    assert seen != unknown
