"""Feeding experiment trackers: with a planted one, and with the libraries that are installed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from common import backend as backends
from common.cli.main import main
from common.config import load_config
from common.errors import InputError, RunError
from common.trackers import TRACKERS
from common.trackers.feeding import Feeder, check, values_of
from common.trackers.tracker import Opening
from common.training.progress import Progress
from common.training.run import train
from tests.common.numpy_backend import backend
from tests.golden.cases import Case, overrides, write_data

PLANTED = """
import json
from common.trackers.tracker import Tracker

class Session:
    def __init__(self, opening):
        opening.folder.mkdir(parents=True, exist_ok=True)
        self.path = opening.folder / "planted.jsonl"
        self.write("open", dict(opening.settings))
    def write(self, *line):
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\\n")
    def log(self, step, values):
        if step == FAILS:
            raise ConnectionError("the server is gone")
        self.write("log", step, values)
    def finish(self, summary, failed):
        self.write("finish", summary, failed)

class Planted(Tracker):
    name = "planted"
    module = "json"
    def open(self, opening):
        return Session(opening)

MEMBER = Planted()
"""
INSTALLED = [name for name in ("tensorboard", "wandb", "mlflow", "swanlab") if importlib.util.find_spec(name)]
SAID: list[str] = []


class Quiet(Progress):
    """Keeps what would be shown."""

    def say(self, text: str) -> None:
        SAID.append(text)


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A plugin with a tracker that writes what it gets, and fails at a step."""

    def plant(fails=None):
        import common.trackers

        folder = tmp_path / "plugin/common/trackers"
        folder.mkdir(parents=True)
        (folder / "planted.py").write_text(f"FAILS = {fails}\n{PLANTED}")
        monkeypatch.setattr(common.trackers, "__path__", [*common.trackers.__path__, str(folder)])
        fake = backend()
        monkeypatch.setattr(backends, "load", lambda name: fake)  # no framework is needed
        monkeypatch.setattr(backends, "require", lambda name: None)
        monkeypatch.setattr("common.report.run_page", lambda *_: None)
        sys.modules.pop("common.trackers.planted", None)
        SAID.clear()

    yield plant
    sys.modules.pop("common.trackers.planted", None)


def trained(tmp_path, *more, **options):
    case = Case("bert-classification", "head", "pytorch")
    write_data(tmp_path)
    file = tmp_path / "tracked.yaml"
    file.write_text(case.yaml)
    config = load_config(file, [*overrides(tmp_path), *more])
    train(config, "pytorch", "cpu", tmp_path / "runs", progress=Quiet(), **options)
    return tmp_path / "runs/tracked/pytorch"


def lines(run):
    return [json.loads(line) for line in (run / "trackers/planted.jsonl").read_text().splitlines()]


def test_a_run_feeds_a_tracker_with_the_events_of_its_log_and_its_summary(tmp_path, planted):
    planted()
    run = trained(tmp_path, "training.trackers=[planted]")
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    first, *logged, last = lines(run)
    assert first[0] == "open"
    assert first[1]["adaptation.method"] == "head"
    assert [(kind, step) for kind, step, _ in logged] == [("log", event["step"]) for event in events]
    assert logged[0][2]["validation/accuracy"] == events[0]["accuracy"]
    assert logged[1][2]["train/loss"] == events[1]["loss"]
    summary = json.loads((run / "summary.json").read_text())
    assert last[0] == "finish"
    assert last[1]["test/accuracy"] == summary["test"]["accuracy"]
    assert last[2] is False
    again = len(lines(run))
    assert main(["track", str(run), "--to", "planted"]) == 0  # a finished run gives the same events
    assert [line[1:] for line in lines(run)[again:]][1:-1] == [line[1:] for line in lines(run)[:again]][1:-1]


def test_a_tracker_that_fails_is_said_once_and_the_run_goes_on(tmp_path, planted):
    planted(fails=2)
    run = trained(tmp_path, "training.trackers=[planted]")
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"
    said = [text for text in SAID if "the server is gone" in text]
    assert len(said) == 1
    assert "planted" in said[0]
    assert lines(run)[-1][:2] == ["log", 1]
    assert main(["track", str(run), "--to", "planted"]) == 1  # here it is the purpose


def test_a_resumed_run_is_whole_in_a_tracker(tmp_path, planted):
    planted()
    backends.load("pytorch").Engine.on_step = staticmethod(
        lambda now: os.kill(os.getpid(), signal.SIGINT) if now == 4 else None
    )
    with pytest.raises(RunError, match="after step 4"):
        trained(tmp_path, "training.trackers=[planted]")
    backends.load("pytorch").Engine.on_step = staticmethod(lambda now: None)
    run = trained(tmp_path, "training.trackers=[planted]", resume=True)
    found = lines(run)
    assert [line[0] for line in found].count("open") == 2
    assert ["finish", {}, True] in found  # of the attempt that was interrupted
    second = found[max(index for index, line in enumerate(found) if line[0] == "open") :]
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [step for kind, step, _ in second[1:-1]] == [event["step"] for event in events]


def test_an_unknown_tracker_is_refused_in_the_configuration_with_the_nearest_name(tmp_path):
    write_data(tmp_path)
    file = tmp_path / "tracked.yaml"
    file.write_text(Case("bert-classification", "lora", "pytorch").yaml)
    with pytest.raises(InputError, match=r"tensorbord.*tensorboard"):
        load_config(file, [*overrides(tmp_path), "training.trackers=[tensorbord]"])


def test_a_tracker_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setattr(type(TRACKERS.get("wandb")), "module", "no_such_package")
    with pytest.raises(InputError, match=r"twinlora\[wandb\]"):
        check(["wandb"])


def test_no_tracker_is_imported_unless_it_is_asked_for():
    code = (
        "import sys, common.training.run, common.config; from common.trackers import TRACKERS; list(TRACKERS);"
        "print([name for name in ('tensorboard', 'wandb', 'mlflow', 'swanlab') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[]"


def test_every_extra_is_declared_under_the_name_of_its_tracker():
    from configparser import ConfigParser
    from pathlib import Path

    parser = ConfigParser()
    parser.read(Path(__file__).resolve().parents[2] / "setup.cfg")
    assert set(TRACKERS.names()) <= set(parser["options.extras_require"])


def test_values_have_the_names_that_trackers_group_by():
    step = {
        "event": "step",
        "step": 3,
        "epoch": 0.5,
        "loss": 1.0,
        "grad_norm": 2.0,
        "learning_rate": 0.1,
        "duration": 9.0,
    }
    assert values_of(step) == {
        "train/epoch": 0.5,
        "train/loss": 1.0,
        "train/grad_norm": 2.0,
        "train/learning_rate": 0.1,
    }
    evaluation = {
        "event": "evaluation",
        "step": 3,
        "split": "validation",
        "accuracy": 0.5,
        "best": True,
        "per_class": [1],
    }
    assert values_of(evaluation) == {"validation/accuracy": 0.5}


def feed(name, folder):
    """Two events and a summary."""
    opening = Opening("run", "pytorch", folder, {"seed": 1, "adaptation.targets": ["*.query"], "data.directory": None})
    said: list[str] = []
    feeder = Feeder([name], opening, said.append)
    for step in (1, 2):
        feeder.event({"event": "step", "step": step, "loss": 1 / step})
    feeder.finish({"status": "finished", "test": {"accuracy": 0.5}, "steps": 2})
    assert said == []
    return folder


@pytest.mark.skipif(
    "tensorboard" not in INSTALLED, reason="tensorboard is not installed: pip install twinlora[tensorboard]"
)
def test_tensorboard_reads_the_curves_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(feed("tensorboard", tmp_path) / "tensorboard"), {"tensors": 0})
    found.Reload()
    assert {"train/loss", "test/accuracy"} <= set(found.Tags()["tensors"])
    assert [event.step for event in found.Tensors("train/loss")] == [1, 2]


@pytest.mark.skipif("wandb" not in INSTALLED, reason="wandb is not installed: pip install twinlora[wandb]")
def test_wandb_writes_an_offline_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    [file] = feed("wandb", tmp_path).glob("wandb/offline-run-*/run-*.wandb")
    end = time.monotonic() + 120  # a guard: another process writes the file, a little after the run was closed
    while b"test/accuracy" not in file.read_bytes() and time.monotonic() < end:
        time.sleep(0.1)
    content = file.read_bytes()
    assert b"train/loss" in content
    assert b"test/accuracy" in content


@pytest.mark.skipif("mlflow" not in INSTALLED, reason="mlflow is not installed: pip install twinlora[mlflow]")
def test_mlflow_reads_parameters_and_curves_back(tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = MlflowClient((feed("mlflow", tmp_path) / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("twinlora")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["adaptation.targets"] == "['*.query']"
    assert [metric.value for metric in client.get_metric_history(run.info.run_id, "train/loss")] == [1.0, 0.5]


@pytest.mark.skipif("swanlab" not in INSTALLED, reason="swanlab is not installed: pip install twinlora[swanlab]")
def test_swanlab_writes_an_offline_experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("SWANLAB_MODE", "offline")
    monkeypatch.setenv("SWANLAB_SAVE_DIR", str(tmp_path / "home"))
    folder = feed("swanlab", tmp_path) / "swanlab"
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"train/loss" in content
