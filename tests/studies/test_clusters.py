"""Runs on other machines: the script for Slurm, the jobs for ModelArts, bringing runs home, and Ray."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.cli.main import main
from common.errors import InputError
from common.studies.cluster.slurm import array_script
from common.studies.layout import StudyDirectory
from tests.support import HANGS

RATES = "axes: {optimization.learning_rate: [0.01, 0.02, 0.03]}\n"
FAKES = Path(__file__).parents[1] / "launch" / "fakes"


def planned(studies, *arguments):
    """The command of a subcommand that plans, and the study directory."""
    file = studies.write(RATES)
    return [arguments[0], str(file), "--output", str(studies.output), *arguments[1:]], studies.output / "study"


def test_the_tasks_of_an_array_run_every_point_once(studies, fake_runs, capsys):
    """Bash runs the script once for each task, with a program in the place of Python that notes its arguments."""
    command, directory = planned(studies, "slurm", "--parallel", "2", "--sbatch=--partition=gpu")
    assert main(["study", *command]) == 0
    script = directory / "slurm" / "array.sh"
    assert f"sbatch {script}" in capsys.readouterr().out
    text = script.read_text()
    assert "#SBATCH --array=0-2%2\n" in text
    assert "#SBATCH --partition=gpu\n" in text
    noted = studies.folder / "python"
    noted.write_text(f'#!/bin/bash\necho "$@" >> {studies.folder / "noted"}\n')
    noted.chmod(0o755)
    script.write_text(text.replace(sys.executable, str(noted)))
    for task in range(3):
        environ = {"SLURM_ARRAY_TASK_ID": str(task), "PATH": "/usr/bin:/bin"}
        subprocess.run(["bash", str(script)], env=environ, check=True, timeout=HANGS)
    calls = [line.split() for line in (studies.folder / "noted").read_text().splitlines()]
    assert [call[:5] for call in calls] == [["-m", "twinlora", "study", "work", str(directory)]] * 3
    ids = [point["id"] for point in StudyDirectory(directory).points()]
    assert [call[5] for call in calls] == ids
    for name in ids:
        assert main(["study", "work", str(directory), name]) == 0
    assert [StudyDirectory(directory).state(point) for point in StudyDirectory(directory).points()] == ["finished"] * 3
    assert main(["study", *command]) == 2
    assert "has no run left" in capsys.readouterr().err


def test_an_array_asks_for_the_time_that_a_run_may_take(tmp_path):
    script = array_script(tmp_path / "a study", "name", ["x"], None, 3600.0, [])
    assert "#SBATCH --time=64\n" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_a_task_of_an_unknown_run_is_refused(studies, fake_runs, capsys):
    command, directory = planned(studies, "slurm")
    main(["study", *command])
    assert main(["study", "work", str(directory), "0123"]) == 2
    assert "has no point 0123" in capsys.readouterr().err


JOB = ("--job=--code-url=obs://b/twinlora", "--job=--image-url=org/twinlora:1", "--job=--flavor=modelarts.x")


def test_a_task_of_a_cancelled_study_says_so(studies, fake_runs, capsys):
    file, directory = studies.write(RATES), studies.output / "study"
    command = ["study", "slurm", str(file), "--output", str(studies.output)]
    assert main(command) == 0
    name = StudyDirectory(directory).points()[0]["id"]
    assert main(["study", "cancel", str(directory)]) == 0
    assert main(["study", "work", str(directory), name]) == 2
    assert "was asked to end" in capsys.readouterr().err
    assert main(command) == 0
    assert main(["study", "work", str(directory), name]) == 0


def test_a_job_of_modelarts_is_made_for_every_run(studies, fake_runs):
    command, directory = planned(studies, "modelarts", "--study-url", "obs://b/study", *JOB)
    assert main(["study", *command]) == 0
    points = StudyDirectory(directory).points()
    for point in points:
        job = json.loads((directory / "modelarts" / f"{point['id']}.json").read_text())
        parameters = {entry["name"]: entry["value"] for entry in job["algorithm"]["parameters"]}
        assert parameters["config"] == f"obs://b/study/configs/{point['id']}.yaml"
        assert (parameters["train_url"], parameters["run_id"]) == ("obs://b/study/runs/", point["id"])
        assert parameters["backend"] == "pytorch"


def test_a_wrong_job_of_modelarts_is_refused(studies, fake_runs, capsys):
    command, directory = planned(studies, "modelarts", "--study-url", "obs://b/study", *JOB[:2])
    assert main(["study", *command]) == 2
    assert "flavor" in capsys.readouterr().err
    assert not (directory / "modelarts").exists()


def test_runs_are_brought_home_from_a_bucket(studies, fake_runs, capsys, monkeypatch):
    study, _ = studies.run(RATES, name="study")
    directory, store = study.directory, studies.folder / "store"
    first, *others = directory.points()
    for point in others[:1]:
        shutil.move(directory.run(point).path, store / "b" / "s" / "runs" / point["id"])
    for point in others:
        shutil.rmtree(directory.run(point).path, ignore_errors=True)
        (directory.path / point["outcome"]).unlink()
    monkeypatch.setenv("FAKE_STORE", str(store))
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    assert main(["study", "fetch", str(directory.path), "obs://b/s"]) == 0
    assert "1 fetched, 1 not there yet" in capsys.readouterr().out
    assert [directory.state(point) for point in directory.points()] == ["finished", "finished", "missing"]
    assert directory.run(first).complete()
    assert len(studies.calls(study)) == 3
    studies.run(RATES, name="study")
    assert len(studies.calls(study)) == 4


def test_a_search_is_no_array(studies, fake_runs, capsys):
    file = studies.write("search: {trials: 2, space: {adaptation.rank: {low: 1, high: 4}}}\n")
    assert main(["study", "slurm", str(file), "--output", str(studies.output)]) == 2
    assert "decided one after the other" in capsys.readouterr().err


def test_an_executor_that_is_not_there_is_named(studies, fake_runs, monkeypatch):
    with pytest.raises(InputError, match="--executor must be one of local, ray"):
        studies.run(RATES, executor="rya")
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    with pytest.raises(InputError, match=r"twinlora\[ray\]"):
        studies.run(RATES, executor="ray")
    assert not studies.output.exists()


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_a_local_ray_cluster_trains_what_this_machine_does(studies):
    """Processes of the cluster know nothing of a replaced worker: these are real runs."""
    pytest.importorskip("ray")
    axes = "axes: {optimization.learning_rate: [0.01, 0.02]}\n"
    study, done = studies.run(axes, executor="ray", jobs=2)
    assert done
    assert studies.states(study) == ["finished"] * 2
    local, _ = studies.run(axes, name="local", jobs=2)
    for here, there in zip(study.directory.points(), local.directory.points(), strict=True):
        ours, theirs = study.directory.run(here).read_summary(), local.directory.run(there).read_summary()
        assert {key: ours[key] for key in ("validation", "test", "steps")} == {
            key: theirs[key] for key in ("validation", "test", "steps")
        }
