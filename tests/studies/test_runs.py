"""Runs of a study: never repeated, continued, limited, recorded where they fail; and a study that is ended at any moment
continues as if nothing had happened."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import common
from common.cli.main import main
from common.config import load_config
from common.data import load_dataset
from common.errors import InputError
from common.files import save_arrays
from common.studies import scheduler, worker
from common.studies.identity import code_fingerprint
from common.studies.layout import StudyDirectory
from common.studies.plan import plan
from common.tasks import configured
from common.training.lock import locked
from common.training.teachers import write_logits
from tests.support import HANGS, alive

RATES = "axes: {optimization.learning_rate: [0.01, 0.02, 0.03]}\n"
RUNNER = """\
import json, sys
sys.path.insert(0, {tests!r})
from common.studies.definition import read_definition
from common.studies.job import Job
from common.studies.run import Options, run_study
Job.command = lambda self: [sys.executable, {fake!r}, self.study, self.id, self.backend, self.kind]
study, done = run_study(read_definition({file!r}), {output!r}, Options(jobs=2))
sys.exit(int(not done))
"""


def outcomes(study):
    return [study.directory.outcome(point) for point in study.directory.points()]


def test_finished_runs_are_never_repeated(studies, fake_runs):
    study, done = studies.run(RATES, jobs=2)
    assert done
    assert studies.states(study) == ["finished"] * 3
    before = studies.calls(study)
    assert len(before) == 3
    again, _ = studies.run(RATES)
    assert studies.calls(again) == before
    more, _ = studies.run("axes: {optimization.learning_rate: [0.01, 0.02, 0.03, 0.04]}\n")
    assert len(studies.calls(more)) == 4
    assert [point["label"] for point in more.directory.points()][-1] == {"optimization.learning_rate": 0.04}


def test_a_run_belongs_to_its_content_wherever_the_data_lies(studies, fake_runs):
    study, _ = studies.run(RATES)
    moved = studies.folder / "moved"
    moved.mkdir()
    for file in studies.folder.glob("*.csv"):
        file.rename(moved / file.name)
    base = studies.folder / "base.yaml"
    base.write_text(base.read_text().replace(f"{studies.folder}/", f"{moved}/"))
    studies.run(RATES)
    assert len(studies.calls(study)) == 3
    (moved / "train.csv").write_text((moved / "train.csv").read_text() + "fine dull,a\n")
    studies.run(RATES)
    assert len(studies.calls(study)) == 6


def test_a_failed_run_is_recorded_and_stops_no_other(studies, fake_runs):
    fake_runs({"learning_rate: 0.02": {"fail": "the loss is not finite"}, "learning_rate: 0.03": {"crash": True}})
    study, done = studies.run(RATES)
    assert done
    assert studies.states(study) == ["finished", "failed", "failed"]
    first, second, third = outcomes(study)
    assert (first.error, first.exit_code, first.attempts) == (None, 0, 1)
    assert (second.error, second.exit_code) == ("the loss is not finite", 1)
    assert "SIGKILL" in third.error
    fake_runs({})
    studies.run(RATES)
    assert len(studies.calls(study)) == 3
    again, _ = studies.run(RATES, retry=True)
    assert studies.states(again) == ["finished"] * 3
    assert [outcome.attempts for outcome in outcomes(again)] == [1, 2, 2]


def test_limits_of_time_and_memory_end_a_run(studies, fake_runs):
    fake_runs({"learning_rate: 0.02": {"slow": 60.0}, "learning_rate: 0.03": {"memory": 2**29, "slow": 1.0}})
    study, _ = studies.run(RATES + "limits: {seconds: 8, memory: 256 MiB}\n", jobs=3)
    assert studies.states(study) == ["finished", "timeout", "memory"]
    _, slow, large = outcomes(study)
    assert "longer than the limit of 8 s" in slow.error
    assert "at most 256 MiB" in large.error
    assert large.peak_memory > 2**28


def test_only_what_fits_the_filters_is_run(studies, fake_runs):
    study, _ = studies.run(RATES, filters={"learning_rate": ["0.02"]})
    assert studies.states(study) == ["missing", "finished", "missing"]


def test_points_of_one_configuration_are_one_run(studies, fake_runs):
    study, _ = studies.run("points: [{label: {name: a}}, {label: {name: b}}]\n")
    points = study.directory.points()
    assert [point["label"]["name"] for point in points] == ["a", "b"]
    assert points[0]["run"] == points[1]["run"]
    assert len(studies.calls(study)) == 1


def test_a_study_directory_that_was_moved_or_copied_is_continued_where_it_lies(studies, fake_runs, capsys):
    study, _ = studies.run(RATES)
    copied = studies.folder / "elsewhere" / "renamed"
    shutil.copytree(study.directory.path, copied)
    before = study.directory.plan.read_bytes()
    assert main(["study", "run", str(copied), "--set", "training.log_every_steps=3"]) == 0
    assert str(copied) in capsys.readouterr().out
    assert study.directory.plan.read_bytes() == before
    assert StudyDirectory(copied).read_plan()["name"] == "renamed"
    assert main(["study", "run", str(copied), "--name", "a", "--output", str(studies.output), "--dry-run"]) == 0
    assert f"3 runs in {studies.output / 'a'}\n" in capsys.readouterr().out


def test_a_finished_run_whose_directory_is_gone_is_made_again(studies, fake_runs):
    study, _ = studies.run(RATES)
    shutil.rmtree(study.directory.run(study.directory.points()[1]).path)
    assert studies.states(study) == ["finished", "missing", "finished"]
    again, _ = studies.run(RATES)
    assert studies.states(again) == ["finished"] * 3
    assert len(studies.calls(again)) == 4


def write_teacher(studies, seed):
    """A file of logits of the training split."""
    config = load_config(studies.folder / "base.yaml")
    data = load_dataset(config.data, configured(config.model))
    logits = np.random.default_rng(seed).normal(size=(len(data.splits["train"]), 2))
    write_logits(studies.folder / "teacher.safetensors", logits, data)


def test_a_run_belongs_to_the_answers_of_its_teacher(studies, fake_runs):
    write_teacher(studies, 0)
    definition = f"axes: {{distillation.teacher: [null, {studies.folder / 'teacher.safetensors'}]}}\n"
    study, _ = studies.run(definition)
    assert len(studies.calls(study)) == 2
    write_teacher(studies, 0)
    studies.run(definition)
    assert len(studies.calls(study)) == 2, "the same answers, written again"
    write_teacher(studies, 1)
    studies.run(definition)
    assert len(studies.calls(study)) == 3, "the point without a teacher is not repeated"
    (studies.folder / "teacher.safetensors").unlink()
    with pytest.raises(InputError, match=r"teacher\.safetensors"):
        studies.run(definition)


def test_a_run_belongs_to_its_texts_without_labels(studies, fake_runs):
    texts = studies.folder / "texts.txt"
    texts.write_text("fine dull\ngreat poor\n")
    definition = f"axes: {{meta.learning_rate: [0.1, 0.2]}}\nset: {{meta.unlabelled: {texts}}}\n"
    study, _ = studies.run(definition)
    assert len(studies.calls(study)) == 2
    texts.write_text("fine dull\ngreat awful\n")
    studies.run(definition)
    assert len(studies.calls(study)) == 4


@pytest.mark.parametrize(("setting", "said"), [
    ("{method: adalora, alpha: 4, targets: [query], target_rank: 1, initial_rank: 2, total_steps: 8}", "changes more in a step"),
    ("{method: qat}", "computes with rounded numbers"),
])  # fmt: skip
def test_what_a_student_of_pseudo_labels_cannot_be_is_refused_before_any_run(studies, fake_runs, setting, said):
    texts = studies.folder / "texts.txt"
    texts.write_text("fine dull\n")
    with pytest.raises(InputError, match=said):
        studies.run(f"axes: {{meta.unlabelled: [null, {texts}]}}\nset: {{adaptation: {setting}}}\n")


@pytest.mark.needs_pytorch
def test_a_run_is_not_trained_with_another_teacher_than_it_was_planned_with(studies, fake_runs, capsys):
    write_teacher(studies, 0)
    fake_runs({"": {"fail": "not yet"}})
    study, _ = studies.run(f"axes: {{distillation.teacher: [{studies.folder / 'teacher.safetensors'}]}}\n")
    point = study.directory.points()[0]
    write_teacher(studies, 1)
    assert worker.main([str(study.directory.path), point["id"], "pytorch", "train"]) == 2
    assert "  teacher: was" in capsys.readouterr().err
    assert not study.directory.run(point).metrics.exists()
    write_teacher(studies, 0)
    assert worker.main([str(study.directory.path), point["id"], "pytorch", "train"]) == 0


@pytest.mark.needs_pytorch
def test_a_run_is_not_trained_with_other_data_than_it_was_planned_with(studies, fake_runs, capsys):
    fake_runs({"": {"fail": "not yet"}})
    study, _ = studies.run("axes: {optimization.learning_rate: [0.01]}\n")
    name = study.directory.points()[0]["id"]
    data = studies.folder / "train.csv"
    before = data.read_text()
    data.write_text(before + "fine dull,a\n")
    assert worker.main([str(study.directory.path), name, "pytorch", "train"]) == 2
    said = capsys.readouterr().err
    assert "planned with other inputs" in said
    assert "data train" in said
    assert not study.directory.run(study.directory.points()[0]).metrics.exists()
    data.write_text(before)
    assert worker.main([str(study.directory.path), name, "pytorch", "train"]) == 0


def test_a_run_belongs_to_the_adapter_that_it_begins_from(studies, fake_runs):
    folder = studies.folder / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2}')
    for value in (0, 1, 1):
        save_arrays(folder / "adapter_model.safetensors", {"a": np.full(2, value, np.float32)})
        study, _ = studies.run(f"set: {{model.adapter: {folder}}}\n")
    assert len(set(studies.calls(study))) == len(studies.calls(study)) == 2


def test_a_run_belongs_to_the_code_of_plugins(studies, tmp_path, monkeypatch):
    """A method or a loss of one's own decides a run as the project's do."""
    ways = [
        tmp_path / "own" / "common" / "methods" / "mine.py",
        tmp_path / "own" / "pytorch_impl" / "layers" / "mine.py",
    ]
    for path in ways:
        path.parent.mkdir(parents=True)
        path.write_text("MEMBER = 1\n")

    def identities():
        code_fingerprint.cache_clear()
        planned = plan(studies.define("backends: [pytorch, mindspore]\n"), studies.output)
        return {point.backend: planned.planned(point).id for point in planned.points}

    without = identities()
    monkeypatch.setenv("TWINLORA_PLUGINS", str(tmp_path / "empty"))
    assert identities() == without
    monkeypatch.setenv("TWINLORA_PLUGINS", str(tmp_path / "own"))
    before = identities()
    assert before["pytorch"] != without["pytorch"] != before["mindspore"]
    ways[1].write_text("MEMBER = 2\n")
    after = identities()
    assert (after["pytorch"] != before["pytorch"], after["mindspore"] == before["mindspore"]) == (True, True)
    ways[0].write_text("MEMBER = 2\n")
    assert not set(identities().values()) & {*after.values(), *before.values()}
    code_fingerprint.cache_clear()


def test_runs_that_a_second_signal_killed_are_interrupted_and_not_failed(studies, fake_runs, monkeypatch):
    fake_runs({"": {"slow": 0.3}})

    class Twice:
        """Both signals came between two looks."""

        @property
        def asked(self):
            return 2 if steps(studies.output / "study") > 0 else 0

    monkeypatch.setattr(scheduler, "_signals", lambda: contextlib.nullcontext(Twice()))
    study, done = studies.run(RATES, jobs=2)
    assert not done
    assert studies.states(study) == ["interrupted", "interrupted", "missing"]


DAMAGED = {
    "study.json": "the plan of a study",
    "study.yaml": "is not valid YAML",
    "runs/ID.outcome.json": "the outcome of a run",
    "runs/ID/pytorch/summary.json": "the summary of a run",
    "runs/ID/pytorch/metrics.jsonl": "the log of a run",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named(studies, fake_runs, capsys, name):
    study, _ = studies.run("axes: {optimization.learning_rate: [0.01]}\n")
    file = study.directory.path / name.replace("ID", study.directory.points()[0]["id"])
    file.write_text("{\n")
    command = ["run"] if name == "study.yaml" else ["status"]
    assert main(["study", *command, str(study.directory.path)]) == 2
    said = capsys.readouterr().err
    assert DAMAGED[name] in said
    assert str(file) in said


def test_a_label_cannot_command_the_terminal(studies, capsys):
    file = studies.write('axes: {x: {"\\e[31mred\\nline": {adaptation.rank: 3}}}\n')
    assert main(["study", "run", str(file), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize("name", ["../outside", "..", "a/b", "a b"])
def test_a_name_from_the_command_line_is_checked_as_one_from_a_file(studies, capsys, name):
    file = studies.write(RATES)
    assert main(["study", "run", str(file), "--name", name, "--dry-run"]) == 2
    assert "name must be letters" in capsys.readouterr().err
    assert main(["study", "run", str(file), "--backend", "pytorhc", "--dry-run"]) == 2
    assert "Nearest: pytorch" in capsys.readouterr().err


def test_a_definition_that_lost_runs_is_refused_until_it_is_told_to_drop_them(studies, fake_runs):
    study, _ = studies.run(RATES)
    fewer = "axes: {optimization.learning_rate: [0.01, 0.04]}\n"
    with pytest.raises(InputError, match=r"has 2 runs that this definition has not, first .*learning_rate=0\.02"):
        studies.run(fewer)
    assert len(study.directory.points()) == 3
    studies.run(fewer, drop=True)
    assert len(study.directory.points()) == 2
    assert len(list(study.directory.path.glob("runs/*.outcome.json"))) == 4


def test_a_study_that_is_continued_in_one_backend_keeps_the_others(studies, fake_runs, capsys):
    file = studies.write("axes: {adaptation.rank: [2, 4]}\nbackends: [pytorch, mindspore]\n")
    output = ["--output", str(studies.output)]
    assert main(["study", "run", str(file), "--backend", "mindspore", *output]) == 0
    directory = StudyDirectory(studies.output / "study")
    assert {point["backend"] for point in directory.points()} == {"mindspore"}
    for given in ([str(file), *output], [str(directory.path)]):
        assert main(["study", "run", *given, "--backend", "pytorch"]) == 0
        assert [directory.state(point) for point in directory.points()] == ["finished"] * 4
    assert len((directory.path / "calls").read_text().splitlines()) == 4


def test_an_estimate_is_measured_where_one_is_asked_for_alone(studies, fake_runs, capsys):
    file = studies.write(RATES)
    assert main(["study", "run", str(file), "--measure", "--output", str(studies.output)]) == 2
    assert "--measure is of --dry-run" in capsys.readouterr().err
    assert not studies.output.exists()


def test_one_process_at_a_time_runs_a_study(studies, fake_runs):
    study, _ = studies.run(RATES)
    with locked(study.directory.path), pytest.raises(InputError, match="One process at a time"):
        studies.run(RATES)


def test_the_plan_says_everything_before_anything_runs(studies, fake_runs):
    fake_runs({"": {"fail": "no"}})
    study, _ = studies.run(RATES + "tables: [{title: T, rows: [optimization.learning_rate], columns: [steps]}]\n")
    plan = StudyDirectory(study.directory.path).read_plan()
    assert plan["tables"][0]["rows"] == ["optimization.learning_rate"]
    assert plan["axes"] == {"optimization.learning_rate": [0.01, 0.02, 0.03]}
    assert [point["steps"] for point in plan["points"]] == [8] * 3
    for point in plan["points"]:
        assert (
            f"learning_rate: {point['label']['optimization.learning_rate']}"
            in Path(study.directory.path, point["config"]).read_text()
        )


def start(studies, file):
    """A study in a process of its own."""
    code = RUNNER.format(
        tests=str(Path(common.__file__).parents[1]), fake=str(Path(__file__).parent / "fake_worker.py"), file=str(file),
        output=str(studies.output),
    )  # fmt: skip
    said = open(studies.folder / "said", "w")  # noqa: SIM115
    return subprocess.Popen([sys.executable, "-c", code], stdout=said, stderr=said, env=os.environ)


def until(condition):
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def steps(directory):
    """Lines that runs have logged so far."""
    return sum(len(path.read_bytes().splitlines()) for path in directory.glob("runs/*/*/metrics.jsonl"))


def results(directory):
    """Everything that a table is made of."""
    plan = StudyDirectory(directory)
    summaries = [plan.run(point).read_summary() for point in plan.points()]
    return [(point["id"], plan.state(point), summary) for point, summary in zip(plan.points(), summaries, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "SIGTERM"])
def test_a_study_that_is_ended_in_the_middle_continues_to_the_same_tables(studies, fake_runs, number):
    fake_runs({"": {"slow": 0.25}})
    file = studies.write(RATES)
    directory = studies.output / "study"
    process = start(studies, file)
    until(lambda: steps(directory) > 3)
    children = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _runs_in(path, directory)]
    process.send_signal(number)
    assert process.wait(HANGS) == (-9 if number == signal.SIGKILL else 1)
    begun = (directory / "calls").read_text().splitlines()
    states = [StudyDirectory(directory).state(point) for point in StudyDirectory(directory).points()]
    assert states == ["begun" if number == signal.SIGKILL else "interrupted"] * 2 + ["missing"]
    fake_runs({})
    study, done = studies.run(RATES, jobs=2)  # at once: the orphans may still be saving their state
    assert done
    assert len(begun) == len(children) == 2
    assert not any(alive(child) for child in children)
    assert len(studies.calls(study)) == 5
    whole, _ = studies.run(RATES, name="whole")
    assert results(directory) == results(whole.directory.path)


def test_cancel_ends_a_study_that_runs(studies, fake_runs, capsys):
    fake_runs({"": {"slow": 0.5}})
    directory = studies.output / "study"

    def cancel():
        until(lambda: steps(directory) > 0)
        main(["study", "cancel", str(directory)])

    asking = threading.Thread(target=cancel)
    asking.start()
    study, done = studies.run(RATES, jobs=2)
    asking.join()
    assert not done
    assert studies.states(study) == ["interrupted", "interrupted", "missing"]
    assert main(["study", "status", str(directory)]) == 0
    assert "2 interrupted, 1 missing" in capsys.readouterr().out


def _runs_in(path, directory):
    try:
        return f"{directory}\0".encode() in path.read_bytes()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_a_study_of_a_real_run_from_the_command_line(studies, capsys):
    file = studies.write("axes: {optimization.learning_rate: [0.01]}\n")
    command = ["study", "run", str(file), "--output", str(studies.output)]
    assert main([*command, "--dry-run"]) == 0
    assert "8 steps at most" in capsys.readouterr().out
    assert not studies.output.exists()
    assert main(command) == 0
    directory = StudyDirectory(studies.output / "study")
    for point in directory.points():
        assert directory.state(point) == "finished"
        summary = directory.run(point).read_summary()
        assert (summary["steps"], summary["name"]) == (8, point["id"])
        assert summary["test"]["accuracy"] >= 0
    capsys.readouterr()
    assert main(["study", "status", str(directory.path), "--json"]) == 0
    assert [json.loads(line)["step"] for line in capsys.readouterr().out.splitlines()] == [8]
