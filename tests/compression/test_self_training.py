"""Self-training and meta pseudo labels: from the command to the runs that it leaves."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from common.cli.main import main
from common.config import from_yaml
from common.data.own import read_unlabelled
from common.errors import InputError
from common.training.self_training import SelfTraining, entropies

pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch]
BACKENDS = ["pytorch", pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly])]


@pytest.fixture(scope="module")
def texts(work):
    """Texts without labels; two of them are given with labels, and one is there twice."""
    random = np.random.default_rng(9)
    rows = [" ".join(random.choice(["up", "down", "left", "right"], 5)) for _ in range(40)]
    known = [line.rpartition(",")[0] for line in (work.folder / "train.csv").read_text().splitlines()[1:3]]
    path = work.folder / "texts.txt"
    path.write_text("\n".join([*rows, rows[0], *known]) + "\n")
    return path


def test_entropies_are_those_of_the_probabilities_in_bits():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [1 - 2e-9, 1e-9, 1e-9]]))
    assert entropies(logits) == pytest.approx([1.5, 0.0], abs=1e-6)


def test_texts_without_labels_are_read_as_those_of_a_data_set(tmp_path):
    path, config = tmp_path / "texts.jsonl", SimpleNamespace(text_column=None, text_pair_column=None)
    rows = [{"text": "  up down "}, {"text": "up down"}, {"text": " "}, {"text": "left"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_unlabelled(path, config, ["text"]) == [{"text": "up down"}, {"text": "left"}]
    for other in (None, 5, ["up"], True):
        path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": other}]))
        with pytest.raises(InputError, match=r"line 5: a text was expected in column text"):
            read_unlabelled(path, config, ["text"])
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(InputError, match="holds no text"):
        read_unlabelled(tmp_path / "empty.txt", config, ["text"])


@pytest.mark.parametrize("labels", ["hard", "soft"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_round_is_trained_on_the_labels_and_those_it_is_sure_of(work, texts, backend, labels):
    name = f"self-{labels}"
    runs = work.folder / "self" / backend
    command = ["self-train", *work.experiment(), "--name", name, "--backend", backend, "--device", "cpu"]
    command += [
        "--output",
        str(runs),
        "--unlabelled",
        str(texts),
        "--rounds",
        "2",
        "--entropy",
        "0.99",
        "--labels",
        labels,
    ]
    assert main(command) == 0
    record = json.loads((runs / name / "self_training.json").read_text())
    assert record["given"] == 20
    assert record["unlabelled"] <= 40
    counts = [found["pseudo_labels"] for found in record["rounds"]]
    assert counts[0] == 0
    assert counts[1] == record["rounds"][0]["certain"] == sum(record["rounds"][0]["classes"].values()) > 0
    rows = [json.loads(line) for line in (runs / name / "round-1" / "data" / "train.jsonl").read_text().splitlines()]
    assert len(rows) == 20 + counts[1]
    config = from_yaml((runs / name / "round-1" / backend / "config.yaml").read_text())
    assert (config.distillation.teacher is not None) == (labels == "soft")
    steps = [
        json.loads(line) for line in (runs / name / "round-1" / backend / "metrics.jsonl").read_text().splitlines()
    ]
    before = (runs / name / "round-2" / backend / "summary.json").stat().st_mtime_ns
    assert main(command) == 0  # finished rounds are read, not trained again
    assert (runs / name / "round-2" / backend / "summary.json").stat().st_mtime_ns == before
    assert json.loads((runs / name / "self_training.json").read_text()) == record
    assert steps


def test_finished_rounds_are_not_taken_for_those_of_other_texts_or_settings(work, texts, tmp_path, capsys, monkeypatch):
    from common.training import self_training

    trained = []

    def train(config, backend, device, output, **others):
        trained.append(config.name)
        raise InputError("stopped")

    monkeypatch.setattr(self_training, "train", train)
    command = ["self-train", *work.experiment(), "--backend", "pytorch", "--output", str(tmp_path), "--unlabelled"]
    fewer = tmp_path / "fewer.txt"
    fewer.write_text("\n".join(texts.read_text().splitlines()[:9]))
    assert main([*command, str(texts)]) == 2
    assert trained == ["round-0"]
    for given, said in (
        ([str(texts), "--entropy", "0.2"], "entropy was 0.3, now 0.2"),
        ([str(texts), "--labels", "soft"], "labels was hard, now soft"),
        ([str(fewer)], "the labels or the texts without labels are others"),
        ([str(texts), "--backend", "mindspore"], "backend was pytorch, now mindspore"),
        (
            [str(texts), "--set", f"data.files.validation={work.folder / 'test.csv'}"],
            "the other splits, the base model, the tokenizer or",
        ),
    ):
        capsys.readouterr()
        assert main([*command, *given]) == 2
        assert said in capsys.readouterr().err
    assert trained == ["round-0"]
    assert main([*command, str(texts), "--rounds", "3"]) == 2
    assert trained == ["round-0", "round-0"], "more rounds continue it"


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.task_options={loss: isomax}"],
        ["training.adversarial={method: sift}"],
        ["meta.unlabelled=texts.txt"],
    ],
)
def test_soft_labels_that_a_student_cannot_learn_are_refused_before_the_first_round(
    work, texts, tmp_path, capsys, monkeypatch, overrides
):
    from common.training import self_training

    monkeypatch.setattr(self_training, "train", lambda *_, **__: pytest.fail("a round was trained"))
    command = ["self-train", *work.experiment(*overrides), "--backend", "pytorch", "--output", str(tmp_path)]
    assert main([*command, "--unlabelled", str(texts), "--labels", "soft"]) == 2
    said = capsys.readouterr().err
    assert "Soft labels are those of a teacher" in said
    assert "use --labels hard" in said


def test_what_does_not_fit_is_refused(work, texts, tmp_path, capsys):
    command = ["self-train", *work.experiment(), "--backend", "pytorch", "--device", "cpu", "--output", str(tmp_path)]
    assert main([*command, "--unlabelled", str(texts), "--rounds", "0"]) == 2
    assert "rounds must be at least 1" in capsys.readouterr().err
    assert main([*command, "--unlabelled", str(texts), "--entropy", "0"]) == 2
    assert "No text has an entropy of at most 0 bits" in capsys.readouterr().err
    known = tmp_path / "known.txt"
    known.write_text((work.folder / "train.csv").read_text().splitlines()[1].rpartition(",")[0] + "\n")
    assert main([*command, "--unlabelled", str(known), "--name", "other"]) == 2
    assert "is one of the training split, whose labels are known" in capsys.readouterr().err
    assert [name for name, _ in SelfTraining(entropy=float("nan")).problems()] == ["entropy"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_meta_pseudo_labels_are_a_section_of_an_experiment_and_resume(work, texts, backend):
    section = f"meta={{unlabelled: {texts}, learning_rate: 0.2}}"
    whole = work.train(backend, "meta-whole", section, "model.dropout=0.0")
    stored = from_yaml((whole / "config.yaml").read_text())
    assert stored.meta.learning_rate == 0.2
    assert main(["eval", str(whole)]) == 0
    arguments = ["--backend", backend, "--device", "cpu", "--output", str(work.folder / "meta-part"), "--resume"]
    given = [*work.experiment(section, "model.dropout=0.0"), *arguments]
    from common.training import loop

    original = loop.Trainer._evaluate
    calls = []

    def stopping(self, interruption):
        original(self, interruption)
        calls.append(self.step)
        if self.step == 3:
            raise KeyboardInterrupt

    loop.Trainer._evaluate = stopping
    try:
        assert main(["train", *given]) == 1
    finally:
        loop.Trainer._evaluate = original
    assert calls[-1] == 3
    assert main(["train", *given]) == 0
    losses = []
    for run in (whole, work.folder / "meta-part" / "trial" / backend):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses.append([line["loss"] for line in lines if line["event"] == "step"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_meta_pseudo_labels_exclude_a_teacher_and_methods_that_steer(work, base, texts):
    from common.config import load_config
    from common.training.assembly import encode_split, prepare
    from common.training.meta import with_unlabelled

    def configured(*overrides):
        arguments = work.experiment(f"meta.unlabelled={texts}", *overrides)
        return load_config(arguments[0], arguments[2::2])

    with pytest.raises(InputError, match=r"meta.unlabelled and distillation.teacher exclude each other"):
        configured(f"distillation.teacher={base}")
    inputs = prepare(configured("adaptation={method: adalora, targets: ['*.query'], alpha: 4, total_steps: 6}"))
    with pytest.raises(InputError, match="the method adalora changes more in a step"):
        with_unlabelled(inputs, {"train": encode_split(inputs, "train")})


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["adaptation={method: qat}"], "the method qat computes with rounded numbers"),
        (["training.dtype=bf16"], "which training.dtype bf16 rounds away. Set meta.form=first-order"),
        (["meta.form=first-order", "training.dtype=bf16"], None),
    ],
)
def test_meta_pseudo_labels_refuse_what_rounds_their_differences_away(work, texts, overrides, said):
    from common.config import load_config
    from common.training.assembly import encode_split, prepare
    from common.training.meta import with_unlabelled

    arguments = work.experiment(f"meta.unlabelled={texts}", *overrides)
    inputs = prepare(load_config(arguments[0], arguments[2::2]))
    encoded = {"train": encode_split(inputs, "train")}
    if said is None:
        assert "unlabelled" in with_unlabelled(inputs, encoded)[1]
    else:
        with pytest.raises(InputError, match=said):
            with_unlabelled(inputs, encoded)
