"""A run trains, keeps its best state, stops when told, survives interruption to the bit, and never destroys another
run. No framework is needed."""

import contextlib
import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from numpy_backend import backend as numpy_backend

from common import backend as backends
from common.config import load_config
from common.data import BatchPlan
from common.errors import InputError, RunError
from common.files import load_arrays
from common.methods import METHODS
from common.report import run_page
from common.training.assembly import encode_split, load_engine, open_trained, prepare
from common.training.checkpoint import INTEGERS, load_checkpoint
from common.training.evaluation import evaluate
from common.training.predictions import read_predictions
from common.training.progress import Progress
from common.training.run import train
from common.training.rundir import RunDirectory

WORDS = {"good": ["fine", "great", "lovely", "superb"], "bad": ["awful", "dull", "poor", "weak"]}
CONFIG = """\
model:
  tokenizer: bpe:300
  config: {model_type: bert, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1, intermediate_size: 8, initializer_range: 1.0}
data: {name: files, text_column: text, label_column: label, max_length: 32, length_multiple: 8}
adaptation: {method: head}
optimization: {learning_rate: 0.3, warmup_steps: 2}
training: {global_batch_size: 8, micro_batch_size: 4, epochs: 3, evaluate_every_steps: 4, log_every_steps: 3, metric: loss}
"""


class Silent(Progress):
    def __init__(self):
        super().__init__()
        self.said = []

    def say(self, text):
        self.said.append(text)


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """Functions ``config(*overrides)`` and ``run(config, **options)``, and the backend they use."""
    monkeypatch.setenv("TWINLORA_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for split, count in (("train", 61), ("validation", 20), ("test", 20)):
        with open(tmp_path / f"{split}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            for _ in range(count):
                label = random.choice(["good", "bad"])
                writer.writerow([" ".join(random.choice(WORDS[label], random.integers(1, 6))), label])
    (tmp_path / "trial.yaml").write_text(CONFIG)
    files = [f"data.files.{split}={tmp_path / split}.csv" for split in ("train", "validation", "test")]
    fake = numpy_backend()
    monkeypatch.setattr(backends, "load", lambda name: fake)
    monkeypatch.setattr(backends, "require", lambda name: None)
    reports = []
    page = lambda folder, summary=None: reports.append(folder)  # noqa: E731
    monkeypatch.setattr("common.report.run_page", page)  # drawing takes longer than these runs

    class Setup:
        backend, progress = fake, Silent()
        reported = reports
        folder = tmp_path / "runs" / "trial" / "pytorch"

        @staticmethod
        def config(*overrides):
            return load_config(tmp_path / "trial.yaml", [*files, *overrides])

        @staticmethod
        def run(config, **options):
            output = options.pop("output", tmp_path / "runs")
            return train(config, "pytorch", output=output, progress=Setup.progress, **options)

        @staticmethod
        def batches(config):
            """The order of training."""
            inputs, training = prepare(config), config.training
            sizes = training.global_batch_size, training.micro_batch_size, config.data.length_multiple
            return BatchPlan(encode_split(inputs, "train"), *sizes, config.seed)

    return Setup


def events(folder, kind=None):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("seconds"), line.pop("duration")
    return [line for line in lines if kind in (None, line["event"])]


def interrupt_at(setup, step, number=signal.SIGINT):
    setup.backend.Engine.on_step = staticmethod(lambda now: os.kill(os.getpid(), number) if now == step else None)


def test_a_run_learns_and_leaves_everything_its_contract_names(setup):
    summary = setup.run(setup.config())
    assert summary["status"] == "finished"
    assert summary["validation"]["loss"] < 0.8 * summary["before"]["loss"]
    assert summary["test"]["accuracy"] > 0.8
    assert (summary["steps"], summary["epochs"]) == (24, 3.0)  # 61 examples in batches of 8
    assert summary["trainable"] == {"head": 18, "total": 18}
    assert summary["data"] == {
        "name": "files",
        "columns": ["text", "label"],
        "sizes": {"train": 61, "validation": 20, "test": 20},
        "labels": ["bad", "good"],
    }
    for name in (
        "config.yaml",
        "summary.json",
        "adapter/adapter_model.safetensors",
        "tokenizer/tokenizer.json",
        "checkpoint/state.safetensors",
    ):
        assert (setup.folder / name).is_file(), name
    assert json.loads((setup.folder / "summary.json").read_text()) == summary
    steps, evaluations = events(setup.folder, "step"), events(setup.folder, "evaluation")
    assert [step["step"] for step in steps] == list(range(1, 25))
    assert [evaluation["step"] for evaluation in evaluations] == [0, 4, 8, 12, 16, 20, 24]
    assert steps[0]["learning_rate"] == 0.0
    assert max(step["learning_rate"] for step in steps) == pytest.approx(0.3)
    assert setup.reported == [setup.folder]
    assert run_page(setup.folder).is_file()


def test_seconds_add_up(setup):
    seconds = setup.run(setup.config())["seconds"]
    assert 0 < seconds["training"] + seconds["evaluation"] <= seconds["total"]


def test_steps_a_second_are_those_done_and_peaks_are_of_this_process(setup):
    summary = setup.run(setup.config("training.max_steps=8"))
    for part in ("training", "total"):
        assert summary["steps_per_second"][part] == pytest.approx(8 / summary["seconds"][part])
    assert summary["peak_memory"]["device"] is None
    assert summary["peak_memory_bytes"] == summary["peak_memory"]["process"] > 2**20


def test_what_the_best_state_says_to_each_example_is_kept_and_gives_the_scores(setup):
    summary = setup.run(setup.config())
    run = RunDirectory(setup.folder)
    for split in ("validation", "test"):
        kept = read_predictions(run.predictions(split))
        assert kept.labels == ("bad", "good")
        assert len(kept.target) == 20
        assert kept.right.mean() == summary[split]["accuracy"]
    with open(setup.folder.parents[2] / "test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert kept.texts == {index: row["text"] for index, row in enumerate(rows)}
    assert [kept.labels[target] for target in kept.target] == [row["label"] for row in rows]


def test_losses_are_fetched_in_groups(setup, monkeypatch):
    engines = []
    original = setup.backend.Engine.__init__
    monkeypatch.setattr(
        setup.backend.Engine, "__init__", lambda self, *args: (original(self, *args), engines.append(self))[0]
    )
    setup.run(
        setup.config(
            "training.evaluate_every_steps=null", "training.evaluate_every_epochs=3", "training.log_every_steps=10"
        )
    )
    assert [count for count in engines[0].fetched if count] == [1, 9, 10, 4]


@pytest.mark.parametrize(
    ("step", "number"), [(1, signal.SIGINT), (4, signal.SIGTERM), (7, signal.SIGINT), (13, signal.SIGTERM)]
)
def test_an_interrupted_run_continues_to_the_bit(setup, tmp_path, step, number):
    whole = setup.run(setup.config(), output=tmp_path / "whole")
    interrupt_at(setup, step, number)
    with pytest.raises(RunError, match=f"after step {step} of 24.*--resume"):
        setup.run(setup.config())
    assert not (setup.folder / "summary.json").exists()
    setup.backend.Engine.on_step = staticmethod(lambda now: None)
    resumed = setup.run(setup.config(), resume=True)
    assert events(setup.folder) == events(tmp_path / "whole/trial/pytorch")
    for name in ("adapter/adapter_model.safetensors", "tokenizer/tokenizer.json"):
        assert (setup.folder / name).read_bytes() == (tmp_path / "whole/trial/pytorch" / name).read_bytes()
    left, right = (
        load_arrays(folder / "checkpoint/state.safetensors", INTEGERS)[0]
        for folder in (setup.folder, tmp_path / "whole/trial/pytorch")
    )
    assert left.keys() == right.keys()
    assert all(np.array_equal(left[name], right[name]) for name in left)
    assert resumed["test"] == whole["test"]


def test_a_killed_run_continues_from_its_last_checkpoint_and_forgets_what_came_after(setup, tmp_path):
    setup.run(setup.config(), output=tmp_path / "whole")

    def die(now):
        if now == 11:
            raise SystemExit

    setup.backend.Engine.on_step = staticmethod(die)
    with pytest.raises(SystemExit):
        setup.run(setup.config())
    with open(setup.folder / "metrics.jsonl", "a") as file:
        file.write('{"event": "step", "st')  # cut off in the middle of a line
    setup.backend.Engine.on_step = staticmethod(lambda now: None)
    setup.run(setup.config(), resume=True)
    assert events(setup.folder) == events(tmp_path / "whole/trial/pytorch")


@pytest.mark.parametrize("torn", [False, True], ids=["before the checkpoint", "in the middle of it"])
def test_a_best_state_that_was_replaced_after_the_checkpoint_is_not_taken_for_the_one_before(
    setup, tmp_path, monkeypatch, torn
):
    """The run ends when the best state of step 8 is written and no checkpoint says so; computed again, step 8 is worse
    than step 4, whose state is gone."""
    from common.training import run as running
    from common.training.stopping import EarlyStopping

    whole = setup.run(setup.config(), output=tmp_path / "whole")
    assert events(tmp_path / "whole/trial/pytorch", "evaluation")[2]["best"]
    save = running._Session.save_best

    def die(session, arrays, step):
        if step == 8 and torn:
            raise SystemExit
        save(session, arrays, step)
        if step == 8:
            raise SystemExit

    monkeypatch.setattr(running._Session, "save_best", die)
    with pytest.raises(SystemExit):
        setup.run(setup.config())
    monkeypatch.setattr(running._Session, "save_best", save)
    update = EarlyStopping.update
    worse = lambda self, step, value: update(self, step, value if step <= 4 else value + 100.0)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(EarlyStopping, "update", worse)
        summary = setup.run(setup.config(), resume=True)
    _, metadata = load_arrays(setup.folder / "adapter/adapter_model.safetensors")
    assert int(json.loads(metadata["twinlora"])["step"]) == summary["best_step"] >= 8
    assert summary["validation"] == whole["validation"]


def test_a_loss_that_is_not_a_number_ends_the_run_and_names_the_step(setup):
    setup.backend.Engine.poison = 11
    with pytest.raises(RunError, match=r"Step 11 gave loss nan .* best state, of step 8, is kept") as caught:
        setup.run(setup.config())
    batches = setup.batches(setup.config())
    epoch, done = divmod(10, batches.steps_per_epoch)
    examples = ", ".join(str(index + 1) for index in sorted(batches.indices(epoch)[done]))
    assert f"numbers in the training split from 1, {examples}. Lower" in str(caught.value)
    assert "last good state is that of step 8" in str(caught.value)
    assert json.loads((setup.folder / "summary.json").read_text())["status"] == "failed"
    assert events(setup.folder, "step")[-1]["step"] == 10
    assert "NaN" not in (setup.folder / "metrics.jsonl").read_text()


def test_a_trained_array_that_does_not_move_and_a_frozen_one_that_does_are_reported(setup, monkeypatch):
    def stuck(engine, micro_batches, learning_rate):
        bias = engine.values["classifier.bias"].copy()
        handle = train_step(engine, micro_batches, learning_rate)
        engine.values["classifier.bias"] = bias
        engine.embeddings = engine.embeddings + (engine.step == 7)
        return handle

    train_step = setup.backend.Engine.train_step
    monkeypatch.setattr(setup.backend.Engine, "train_step", stuck)
    summary = setup.run(setup.config())
    assert summary["movement"] == {
        "unmoved": ["classifier.bias"],
        "moved": ["bert.embeddings.word_embeddings.weight"],
    }
    said = " ".join(setup.progress.said)
    assert "1 of 2 trained arrays have not changed in 10 steps: classifier.bias." in said
    assert "1 of 1 frozen arrays have changed: bert.embeddings.word_embeddings.weight." in said


def test_what_a_method_notes_of_the_best_state_is_said(setup, monkeypatch):
    monkeypatch.setattr(type(METHODS.get("head")), "findings", lambda self, plan, arrays: {"note": "it is odd"})
    summary = setup.run(setup.config("training.max_steps=2"))
    assert summary["findings"] == {"note": "it is odd"}
    assert "note: it is odd" in setup.progress.said


def test_of_a_run_in_which_everything_is_as_it_should_be_nothing_is_said(setup):
    assert "movement" not in setup.run(setup.config())
    assert not any(text.startswith("note: ") for text in setup.progress.said)


@pytest.mark.parametrize(("warmup", "said"), [(500, True), (3, False)])
def test_a_warm_up_as_long_as_the_training_is_remarked(setup, warmup, said):
    setup.run(setup.config(f"optimization.warmup_steps={warmup}"))
    assert any("warm-up of 500 steps is as long as the training" in text for text in setup.progress.said) is said


def test_training_stops_early_and_the_best_state_is_the_one_kept(setup):
    summary = setup.run(setup.config("training.patience=2", "training.metric=accuracy", "training.epochs=40"))
    evaluations = events(setup.folder, "evaluation")
    best = max(evaluation["accuracy"] for evaluation in evaluations[1:])
    first = next(evaluation["step"] for evaluation in evaluations[1:] if evaluation["accuracy"] == best)
    assert summary["status"] == "stopped_early"
    assert summary["best_step"] == first
    assert summary["steps"] == first + 2 * 4
    assert [evaluation["step"] for evaluation in evaluations if evaluation["best"]][-1] == first
    _, metadata = load_arrays(setup.folder / "adapter/adapter_model.safetensors")
    assert json.loads(metadata["twinlora"])["step"] == str(first)


def test_the_test_split_is_scored_with_the_best_state_not_the_last(setup):
    config = setup.config("training.metric=accuracy", "training.epochs=6")
    summary = setup.run(config)
    assert summary["best_step"] < summary["steps"]  # the accuracy ties later, and a tie is no improvement
    trained = open_trained(RunDirectory(setup.folder))
    engine, test = load_engine(trained), encode_split(prepare(config), "test")
    assert evaluate(engine, test, 32, 8) == summary["test"]
    load_checkpoint(setup.folder / "checkpoint/state.safetensors", engine)
    assert evaluate(engine, test, 32, 8) != summary["test"]


def test_max_steps_ends_the_schedule_there(setup):
    summary = setup.run(setup.config("training.max_steps=6"))
    assert summary["steps"] == 6
    assert [round(step["learning_rate"], 4) for step in events(setup.folder, "step")] == [
        0.0,
        0.15,
        0.3,
        0.225,
        0.15,
        0.075,
    ]


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_that_is_there_is_never_touched_unasked(setup):
    setup.run(setup.config())
    before = snapshot(setup.folder)
    with pytest.raises(InputError, match=r"finished run.*--overwrite"):
        setup.run(setup.config("seed=1"))
    with pytest.raises(InputError, match=r"(?s)differs.*seed: was 42, now 1.*--name"):
        setup.run(setup.config("seed=1"), resume=True)
    with pytest.raises(InputError, match="one of them"):
        setup.run(setup.config(), resume=True, overwrite=True)
    assert setup.run(setup.config(), resume=True) == json.loads((setup.folder / "summary.json").read_text())
    assert snapshot(setup.folder) == before


def test_an_unfinished_run_is_not_touched_unasked_either(setup):
    interrupt_at(setup, 5)
    with pytest.raises(RunError):
        setup.run(setup.config())
    with pytest.raises(InputError, match=r"unfinished run .*--resume"):
        setup.run(setup.config())


def test_overwrite_removes_what_a_run_wrote_and_nothing_else(setup):
    setup.run(setup.config())
    (setup.folder / "notes.txt").write_text("mine")
    (setup.folder / "model").mkdir()
    summary = setup.run(setup.config("training.max_steps=2"), overwrite=True)
    assert summary["steps"] == 2
    assert len(events(setup.folder, "step")) == 2
    assert (setup.folder / "notes.txt").read_text() == "mine"
    assert not (setup.folder / "model").exists()


def test_a_run_that_was_removed_in_part_is_never_continued_as_another_one(setup, monkeypatch):
    """A process that is killed while --overwrite removes a run leaves some of its files; what is resumed then is the
    same experiment from the start, or refused."""
    setup.run(setup.config())
    other = setup.config("optimization.learning_rate=0.1")
    wanted = setup.run(other, output=setup.folder.parents[2] / "alone")["validation"]
    kept = setup.folder.with_name("kept")
    shutil.copytree(setup.folder, kept)
    unlink, rmtree = Path.unlink, shutil.rmtree
    number, ended = 0, False
    while not ended:
        rmtree(setup.folder)
        shutil.copytree(kept, setup.folder)
        left = [number]

        def killed(remove, left=left):
            def removing(path, *arguments, **named):
                if str(path).startswith(str(setup.folder)) and os.path.lexists(path):
                    if not left[0]:
                        raise KeyboardInterrupt
                    left[0] -= 1
                return remove(path, *arguments, **named)

            return removing

        with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
            patched.setattr(Path, "unlink", killed(unlink))
            patched.setattr(shutil, "rmtree", killed(rmtree))
            RunDirectory(setup.folder).clear()
            ended = True
        if ended:  # the configuration went last: until then the run is known for what it is
            assert setup.run(other, resume=True)["validation"] == wanted
        else:
            with pytest.raises(InputError, match="resumed with the configuration it began with"):
                setup.run(other, resume=True)
        number += 1
    assert number > 5


def test_resume_begins_a_run_where_there_is_none(setup):
    assert setup.run(setup.config("training.max_steps=2"), resume=True)["steps"] == 2


@pytest.mark.parametrize(
    "override", ["data.files.train=nowhere.csv", "data.max_length=1000", "model.config.hidden_sise=3"]
)
def test_bad_input_writes_nothing(setup, override):
    with pytest.raises(InputError):
        setup.run(setup.config(override), overwrite=True)
    assert not setup.folder.exists()


def test_bad_input_does_not_destroy_the_run_it_would_overwrite(setup):
    setup.run(setup.config())
    before = snapshot(setup.folder)
    with pytest.raises(InputError):
        setup.run(setup.config("data.files.train=nowhere.csv"), overwrite=True)
    assert snapshot(setup.folder) == before


def test_a_damaged_checkpoint_is_told_and_the_run_left_alone(setup):
    interrupt_at(setup, 5)
    with pytest.raises(RunError):
        setup.run(setup.config())
    setup.backend.Engine.on_step = staticmethod(lambda now: None)
    checkpoint = setup.folder / "checkpoint/state.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-20])
    before = snapshot(setup.folder)
    with pytest.raises(InputError, match="safetensors"):
        setup.run(setup.config(), resume=True)
    assert snapshot(setup.folder) == before
