"""Pages of trained experiments: made of what is kept, which is made of finished runs."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("classifiers", "documents", "taggers", "gpt2_tasks")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "bench"))
    return importlib.import_module


def summary_of(status="finished", accuracy=0.75, test=0.5):
    found = dict.fromkeys(("seed", "steps", "epochs", "best_step"), 1) | {"versions": {}, "hardware": {}}
    found |= {"status": status, "validation": {"accuracy": accuracy}, "trainable": {"total": 3}}
    return found | {"test": None if test is None else {"accuracy": test}}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_its_script_makes_of_what_is_kept(script, name):
    kept = json.loads((ROOT / f"docs/studies/{name}.json").read_text(encoding="utf-8"))
    assert script(name).page(kept) == (ROOT / f"docs/studies/{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("status", "trained"), [("finished", True), ("stopped_early", True), ("failed", False)])
def test_what_has_come_to_its_end_is_left_out_and_everything_else_goes_on(
    script, monkeypatch, tmp_path, status, trained
):
    trainings = script("trainings")
    started = []
    monkeypatch.setattr(trainings.subprocess, "run", lambda command, **_: started.append(command))
    folder = tmp_path / "runs" / "second" / "pytorch"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary_of(status)))
    jobs = {"first": ("a", "x", ()), "second": ("b", "y", ("model.source={runs}/first/pytorch/model",))}
    trainings.Trainings("none", jobs, dict, str).train(jobs, tmp_path / "data", tmp_path / "runs", "pytorch")
    assert [command[4] for command in started] == (["a"] if trained else ["a", "b"])
    assert all("--resume" in command for command in started)
    if not trained:
        assert started[-1][-1] == f"model.source={tmp_path}/runs/first/pytorch/model"


def test_a_split_without_labels_has_no_score(script):
    essence = script("trainings").essence
    assert essence(summary_of())["accuracy"] == {"validation": 0.75, "test": 0.5}
    assert essence(summary_of(test=None))["accuracy"] == {"validation": 0.75}


def test_both_backends_have_the_same_perplexities(script):
    kept = json.loads((ROOT / "docs/studies/gpt2_tasks.json").read_text(encoding="utf-8"))
    figures = script("gpt2_tasks_page").figures(kept)
    apart = [difference for *_, difference in figures if difference is not None]
    assert len(figures) == 8
    assert len(apart) >= 4
    assert max(apart) < 1e-4


def test_a_classifier_is_reported_beside_its_most_frequent_class(script, tmp_path):
    classes = script("gpt2_tasks").classes
    found = {
        "labels": ["a", "b"],
        "target": [0, 1, 1, 1],
        "predicted": [0, 0, 0, 0],
        "confidence": [1] * 4,
        "texts": {},
    }
    (tmp_path / "predictions").mkdir()
    for split, test in (("validation", None), ("test", 0.5)):
        data = {"data": {"labels": ["a", "b"], "sizes": {"train": 7}}}
        (tmp_path / "summary.json").write_text(json.dumps(summary_of(test=test) | data))
        (tmp_path / "predictions" / f"{split}.json").write_text(json.dumps(found))
        assert classes(tmp_path) == {"split": split, "training": 7, "examples": 4, "majority": 0.75}
    (tmp_path / "summary.json").write_text(json.dumps(summary_of() | {"data": {"labels": None}}))
    assert classes(tmp_path) is None


def test_agreement_is_of_losses_that_both_backends_logged(script, tmp_path):
    module = script("gpt2_tasks")
    losses = {"pytorch": [2.0, 1.0], "mindspore": [2.0, 1.01]}
    for backend, values in losses.items():
        folder = tmp_path / "base" / backend
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps(summary_of() | {"data": {"labels": None}}))
        events = [{"event": "step", "step": step, "loss": loss} for step, loss in enumerate(values, 1)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    tasks = module.Tasks("none", {"base": ("a", "x", ())}, lambda _: {}, str)
    found = tasks.taken(tmp_path)["agreement base"]
    assert found == {"losses": 2, "largest": pytest.approx(0.01)}
    with (tmp_path / "base" / "mindspore" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"event": "step", "step": 3, "loss": 1.0}) + "\n")
    assert "agreement base" not in tasks.taken(tmp_path)
