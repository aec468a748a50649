"""One process at a time trains into a run directory, and a run is finished only when its report is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from test_training_run import interrupt_at, setup, snapshot  # noqa: F401  (setup is a fixture)

from common.cli.main import main
from common.errors import InputError, RunError
from common.training.assembly import open_trained
from common.training.lock import HOLDER, locked
from common.training.rundir import RunDirectory

HOLD = """\
import sys
from pathlib import Path
from common.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder):
    """Another process that holds the lock of a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_a_second_process_is_refused_with_host_and_process_and_changes_nothing(setup, options):  # noqa: F811
    other = holder(setup.folder)
    try:
        before = snapshot(setup.folder)
        with pytest.raises(InputError, match=rf"One process at a time.*process {other.pid} on .*, since .*--name"):
            setup.run(setup.config(), **options)
        assert snapshot(setup.folder) == before
    finally:
        other.communicate()


def test_the_lock_of_a_killed_process_is_no_obstacle(setup):  # noqa: F811
    other = holder(setup.folder)
    other.kill()
    other.communicate()
    assert (setup.folder / HOLDER).is_file()
    assert setup.run(setup.config("training.max_steps=2"))["status"] == "finished"
    assert not (setup.folder / HOLDER).exists()


def test_the_lock_is_held_for_the_whole_run_and_reading_needs_none(setup):  # noqa: F811
    setup.run(setup.config())
    seen = []

    def look(step):
        seen.append(json.loads((setup.folder / HOLDER).read_text())["process"])
        with pytest.raises(InputError, match="One process"), locked(setup.folder):
            pass

    setup.backend.Engine.on_step = staticmethod(look)
    setup.run(setup.config("training.max_steps=3"), overwrite=True)
    assert seen == [os.getpid()] * 3
    with locked(setup.folder):
        assert open_trained(RunDirectory(setup.folder)).summary["steps"] == 3


def test_a_run_that_was_trained_in_the_meantime_is_not_overwritten_unasked(setup, monkeypatch):  # noqa: F811
    original, first = setup.backend.Engine.__init__, []

    def train_first(self, *args):
        if not first:
            first.append(True)
            setup.run(setup.config("training.max_steps=3"))
        original(self, *args)

    monkeypatch.setattr(setup.backend.Engine, "__init__", train_first)
    with pytest.raises(InputError, match="holds a finished run"):
        setup.run(setup.config())
    assert json.loads((setup.folder / "summary.json").read_text())["steps"] == 3


def test_a_run_without_its_report_is_not_finished(setup, monkeypatch):  # noqa: F811
    def die(folder, summary=None):
        assert not (setup.folder / "summary.json").exists()
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("common.report.run_page", die)
        with pytest.raises(SystemExit):
            setup.run(setup.config())
    assert setup.run(setup.config(), resume=True)["status"] == "finished"
    assert setup.reported == [setup.folder]


def test_the_report_is_rebuilt_by_its_command(setup, monkeypatch, capsys):  # noqa: F811
    setup.run(setup.config())
    monkeypatch.undo()  # the page is drawn
    assert not (setup.folder / "report.html").exists()
    assert main(["report", str(setup.folder)]) == 0
    assert capsys.readouterr().out.strip() == str(setup.folder / "report.html")
    assert "trial" in (setup.folder / "report.html").read_text()


def test_of_a_diverged_run_the_best_state_is_opened_and_it_is_said(setup, capsys):  # noqa: F811
    setup.backend.Engine.poison = 11
    with pytest.raises(RunError, match=r"Step 11 .*best state, of step 8, is kept"):
        setup.run(setup.config())
    assert open_trained(RunDirectory(setup.folder)).summary["best_step"] == 8
    assert "diverged after step" in capsys.readouterr().err


def test_a_run_that_diverged_before_a_state_was_kept_says_so(setup):  # noqa: F811
    setup.backend.Engine.poison = 2
    with pytest.raises(RunError, match="Step 2 "):
        setup.run(setup.config())
    with pytest.raises(InputError, match="before a state was kept"):
        open_trained(RunDirectory(setup.folder))
