"""Pairs, regression and multi-label classification through the command line: trained, scored, asked, compared, merged,
resumed and distributed, in both backends."""

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
from common.config import load_config
from common.errors import RunError
from common.files import load_arrays
from common.training.progress import Progress
from common.training.run import train
from tests.support import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = [
    pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
    pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
]
WORDS = ("up", "down", "left", "right")
CONFIG = """\
seed: 3
model:
  task: TASK
  tokenizer: {vocabulary}
  dropout: 0.1
  config: {{model_type: bert, vocab_size: 16, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2,
           intermediate_size: 32, max_position_embeddings: 32, initializer_range: 0.3}}
data: {{name: files, text_column: text, text_pair_column: PAIR, label_column: target, max_length: 16, length_multiple: 16}}
adaptation: {{rank: 4, alpha: 8, dropout: 0.1, targets: ["*.query", "*.value", "*.dense"]}}
optimization: {{learning_rate: 1.0e-2}}
training: {{global_batch_size: 8, micro_batch_size: 4, max_steps: STEPS, epochs: 99, evaluate_every_steps: 50,
           log_every_steps: 1, metric: METRIC}}
"""
LOSS = 1e-4  #: relative, each step
#: metric, and what it must exceed: far beyond what a constant answer scores
TASKS = {
    "sequence-classification": ("accuracy", 0.8),
    "regression": ("pearson", 0.8),
    "multi-label-classification": ("f1_micro", 0.8),
}


def rows(task: str, count: int, seed: int) -> list[dict]:
    """Different pairs by whether the second has a word, pairs scored by a word of each, texts labelled with their
    words."""
    random, found = np.random.default_rng(seed), {}
    while len(found) < count:
        paired = task != "multi-label-classification"
        words = random.choice(WORDS[:2] if paired else WORDS, random.integers(2, 6 if paired else 5)).tolist()
        row = {"text": " ".join(words), "target": sorted({"up", "left"} & set(words))}
        if paired:
            other = random.choice(WORDS[2:], random.integers(1, 3)).tolist()
            score = ("up" in words) - 1.5 * ("left" in other)
            target = score if task == "regression" else "yes" if "left" in other else "no"
            row |= {"text_pair": " ".join(other), "target": target}
        found[row["text"], row.get("text_pair")] = row  # equal texts would have ranks that rounding decides
    return list(found.values())


def experiment(folder: Path, task: str, steps: int, count: int = 160) -> list[str]:
    """Write data and configuration; returns the arguments that name them."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "."]
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.txt").write_text("\n".join(special) + "\n")
    for seed, split in enumerate(("train", "validation", "test")):
        lines = (json.dumps(row) + "\n" for row in rows(task, count if split == "train" else 40, seed))
        (folder / f"{split}.jsonl").write_text("".join(lines))
    text = CONFIG.format(vocabulary=folder / "tokenizer").replace("TASK", task).replace("STEPS", str(steps))
    text = text.replace("PAIR", "null" if task == "multi-label-classification" else "text_pair")
    (folder / "trial.yaml").write_text(text.replace("METRIC", TASKS[task][0]))
    return [f"data.files.{split}={folder / split}.jsonl" for split in ("train", "validation", "test")]


#: what learns with every change; the other tasks do in the nightly run
OFTEN = "sequence-classification"


@pytest.fixture(
    scope="module", params=[task if task == OFTEN else pytest.param(task, marks=pytest.mark.nightly) for task in TASKS]
)
def runs(request, tmp_path_factory) -> tuple[str, dict[str, Path]]:
    """A task, and the runs of both backends from one configuration."""
    folder = tmp_path_factory.mktemp("runs")
    overrides = experiment(folder, request.param, 300)
    options = [part for override in overrides for part in ("--set", override)]
    for backend in ("pytorch", "mindspore"):
        arguments = ["train", str(folder / "trial.yaml"), "--backend", backend, "--device", "cpu"]
        assert main([*arguments, "--output", str(folder), *options]) == 0
    return request.param, {backend: folder / "trial" / backend for backend in ("pytorch", "mindspore")}


def summary(run: Path) -> dict:
    return json.loads((run / "summary.json").read_text())


def losses(run: Path) -> np.ndarray:
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return np.array([event["loss"] for event in events if event["event"] == "step"])


def ask(monkeypatch, capsys, run: Path, lines: list[str], *options: str) -> tuple[int, list[str], str]:
    """Exit code, standard output by line and standard error of ``predict``."""
    content = "".join(f"{line}\n" for line in lines).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    capsys.readouterr()
    code = main(["predict", str(run), *options])
    streams = capsys.readouterr()
    return code, streams.out.splitlines(), streams.err


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
class TestBothBackends:
    def test_learn_the_task_with_equal_losses(self, runs):
        task, folders = runs
        metric, least = TASKS[task]
        ours, theirs = (summary(run) for run in folders.values())
        np.testing.assert_allclose(*(losses(run)[:50] for run in folders.values()), rtol=LOSS)
        for found in (ours, theirs):
            assert found["test"][metric] > least
            assert found["test"]["loss"] < 0.7 * found["before"]["loss"]
        assert ours["data"]["columns"] == theirs["data"]["columns"]
        assert ours["data"]["labels"] == (None if task == "regression" else theirs["data"]["labels"])

    def test_score_each_others_runs(self, runs, capsys):
        _, folders = runs
        for written, read in (("pytorch", "mindspore"), ("mindspore", "pytorch")):
            capsys.readouterr()
            assert main(["eval", str(folders[written]), "--backend", read, "--device", "cpu"]) == 0
            scores = json.loads(capsys.readouterr().out)
            assert scores == pytest.approx(summary(folders[written])["test"], rel=1e-4, abs=1e-5)

    def test_answer_the_test_split_as_it_was_scored(self, runs, monkeypatch, capsys):
        task, folders = runs
        for run in folders.values():
            examples = list(map(json.loads, (run.parents[1] / "test.jsonl").read_text().splitlines()))
            lines = ["\t".join(row[name] for name in ("text", "text_pair") if name in row) for row in examples]
            code, plain, _ = ask(monkeypatch, capsys, run, lines)
            assert code == 0
            code, full, _ = ask(monkeypatch, capsys, run, list(map(json.dumps, examples)), "--jsonl", "--json")
            assert code == 0
            answers = list(map(json.loads, full))
            assert [row["text"] for row in answers] == [row["text"] for row in examples]
            truth, expected = [row["target"] for row in examples], summary(run)["test"]
            if task == "regression":
                scores = [row["score"] for row in answers]
                assert [float(line) for line in plain] == pytest.approx(scores, abs=1e-4)
                assert np.corrcoef(scores, truth)[0, 1] == pytest.approx(expected["pearson"], abs=1e-4)
            elif task == "sequence-classification":
                assert [line.split("\t")[0] for line in plain] == [row["label"] for row in answers]
                right = np.mean([row["label"] == label for row, label in zip(answers, truth, strict=True)])
                assert right == pytest.approx(expected["accuracy"])
            else:
                found = [row["labels"] for row in answers]
                assert [[part for part in line.split("\t")[::2] if part != "-"] for line in plain] == found
                assert np.mean([a == b for a, b in zip(found, truth, strict=True)]) == expected["subset_accuracy"]
                assert any(line == "-" for line in plain)
                assert all(row["probabilities"].keys() == {"left", "up"} for row in answers)

    def test_compare_and_merge(self, runs, tmp_path):
        task, folders = runs
        page = tmp_path / "page.html"
        assert main(["compare", *map(str, folders.values()), "-o", str(page)]) == 0
        assert TASKS[task][0] in page.read_text(encoding="utf-8")
        for backend, run in folders.items():
            assert TASKS[task][0] in (run / "report.html").read_text(encoding="utf-8")
            assert main(["merge", str(run), str(tmp_path / backend)]) == 0
        from transformers import AutoModelForSequenceClassification

        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "mindspore")
        expected = {"regression": "regression", "multi-label-classification": "multi_label_classification"}
        assert model.config.problem_type == expected.get(task)
        assert model.config.num_labels == (1 if task == "regression" else 2)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_the_number_of_texts_must_be_that_of_training(runs, monkeypatch, capsys):
    task, folders = runs
    paired = task != "multi-label-classification"
    run = folders["pytorch"]
    if paired:
        for line in ("up", "up\t", "up\tdown\tleft"):
            code, out, error = ask(monkeypatch, capsys, run, [line])
            assert (code, out) == (1, [""])
            assert "two, with one tab between them" in error
        line, message = '{"text": "up"}', "pairs of texts"
    else:
        line, message = '{"text": "up", "text_pair": "down"}', "trained on single texts"
    for options, expected in (((), (1, [""])), (("--strict",), (2, []))):
        code, out, error = ask(monkeypatch, capsys, run, [line], "--jsonl", *options)
        assert (code, out) == expected
        assert message in error


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("up", "line 2, column 1: an object must be JSON"),
        ("[1]", "line 2: a JSON object was expected; found list"),
        ('{"text": 3, "text_pair": "up"}', "line 2: a text was expected in column text; found 3"),
        ('{"text": " ", "text_pair": "up"}', "line 2: a text was expected in column text; found ' '"),
        ('{"texts": "up"}', "an object with text was expected; found one with texts. Nearest: texts."),
    ],
)
def test_what_is_no_object_of_texts_is_an_error_with_its_line(runs, monkeypatch, capsys, line, message):
    task, folders = runs
    if task != "regression":
        pytest.skip("the same for every task")
    first = '{"text": "up", "text_pair": "down"}'
    code, out, error = ask(monkeypatch, capsys, folders["pytorch"], [first, line, first], "--jsonl")
    assert (code, len(out)) == (1, 3)
    assert out[0] == out[2]
    assert out[1] == ""
    assert message in error
    code, _, error = ask(monkeypatch, capsys, folders["pytorch"], [first, line, first], "--jsonl", "--strict")
    assert code == 2
    assert message in error


def paired(tasks):
    """Every task with one backend, in turn; with the other in the nightly run."""
    for number, task in enumerate(tasks):
        for index, backend in enumerate(BACKENDS):
            marks = () if index == number % len(BACKENDS) else (pytest.mark.nightly,)
            name, needed = (backend.values[0], backend.marks) if hasattr(backend, "values") else (backend, ())
            yield pytest.param(task, name, marks=(*needed, *marks))


class InterruptsAt(Progress):
    """Sends the signal of Ctrl-C when a step is logged."""

    def __init__(self, at: int | None):
        super().__init__()
        self.at = at

    def say(self, text: str) -> None:
        pass

    def step(self, event: dict) -> None:
        if event["step"] == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.interpreted
@pytest.mark.parametrize(("task", "backend"), [*paired(TASKS)])
def test_an_interrupted_run_ends_in_the_same_bytes(tmp_path, task, backend):
    overrides = experiment(tmp_path, task, 8, 21)
    config = load_config(tmp_path / "trial.yaml", overrides)
    train(config, backend, "cpu", tmp_path / "whole", progress=InterruptsAt(None))
    with pytest.raises(RunError, match="after step 4 of 8"):
        train(config, backend, "cpu", tmp_path / "broken", progress=InterruptsAt(4))
    train(config, backend, "cpu", tmp_path / "broken", resume=True, progress=InterruptsAt(None))
    whole, broken = (tmp_path / name / "trial" / backend for name in ("whole", "broken"))
    name = "adapter/adapter_model.safetensors"
    assert (whole / name).read_bytes() == (broken / name).read_bytes()
    assert losses(whole).tolist() == losses(broken).tolist()


@pytest.mark.processes
@pytest.mark.nightly
@pytest.mark.parametrize(("task", "backend"), paired(["regression", "multi-label-classification"]))
def test_two_processes_equal_one(tmp_path, task, backend):
    overrides = experiment(tmp_path, task, 6, 21)  # the last step of an epoch leaves one process without work
    command = ["bash", str(ROOT / f"scripts/{backend}/distributed.sh"), str(tmp_path / "trial.yaml")]
    command += ["--processes", "2", "--port", free_port(), "--logs", str(tmp_path / "logs"), "--device", "cpu"]
    command += ["--output", str(tmp_path / "two"), *(part for given in overrides for part in ("--set", given))]
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": places}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    train(load_config(tmp_path / "trial.yaml", overrides), backend, "cpu", tmp_path / "one", progress=Progress())
    one, two = (tmp_path / name / "trial" / backend for name in ("one", "two"))
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-6)
    assert len(losses(one)) == 6
    assert summary(two)["test"] == pytest.approx(summary(one)["test"], rel=1e-5)
    left, right = (load_arrays(run / "adapter/adapter_model.safetensors")[0] for run in (one, two))
    for name, array in left.items():
        np.testing.assert_allclose(right[name], array, rtol=0, atol=1e-6 * max(np.abs(array).max(), 1e-3), err_msg=name)
