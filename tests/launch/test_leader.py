"""One process of a node works for all; nobody waits for the dead, and every process learns why the work failed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from common.errors import InputError, RunError
from common.launch.leader import job_directory, once_per_node, own_directory, publish
from common.launch.processes import ROOT
from tests.support import HANGS

# A process of the node: appends its id to a file, then does as it is told. {how} is a statement.
PROCESS = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from common.errors import InputError
from common.launch.leader import once_per_node
folder = Path({folder!r})
def work():
    with open(folder / "worked", "a") as log:
        log.write("x")
    {how}
try:
    once_per_node(folder / "staging", {processes}, work, patience={patience}, linger={patience})
except Exception as error:
    sys.exit(f"{{type(error).__name__}}: {{error}}")
"""


def start(folder, how, processes=1, patience=HANGS):
    code = PROCESS.format(root=str(ROOT), folder=str(folder), how=how, processes=processes, patience=patience)
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def end(processes):
    outputs = [process.communicate(timeout=HANGS)[1] for process in processes]
    return [process.returncode for process in processes], outputs


def worked(folder):
    return len((folder / "worked").read_text())


def wait_until(condition):
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_of_eight_works_and_the_others_wait_for_it(tmp_path):
    codes, _ = end([start(tmp_path, "time.sleep(0.5); (folder / 'ready').touch()", processes=8) for _ in range(8)])
    assert codes == [0] * 8
    assert worked(tmp_path) == 1
    once_per_node(tmp_path / "staging", 8, lambda: pytest.fail("done is done"), patience=0)  # nobody waits


def test_nobody_is_released_before_the_work_is_done(tmp_path):
    leader = start(tmp_path, "time.sleep(1); (folder / 'ready').touch()")
    wait_until((tmp_path / "worked").exists)
    once_per_node(tmp_path / "staging", 2, lambda: pytest.fail("there is a leader"), patience=HANGS)
    assert (tmp_path / "ready").exists()
    assert end([leader])[0] == [0]


@pytest.mark.parametrize("kind", ["InputError", "ValueError"])
def test_the_leaders_error_reaches_everybody(tmp_path, kind):
    codes, outputs = end(
        [start(tmp_path, f"time.sleep(0.5); raise {kind}('the bucket is gone')", processes=4) for _ in range(4)]
    )
    assert codes == [1] * 4
    assert worked(tmp_path) == 1
    assert all("the bucket is gone" in output for output in outputs)
    assert sum("reported by process" in output for output in outputs) == 3
    assert all(
        output.startswith("InputError" if kind == "InputError" else ("RunError", "ValueError")) for output in outputs
    )


def test_a_leader_that_was_killed_is_succeeded(tmp_path):
    leader = start(tmp_path, "time.sleep(3600)")
    wait_until((tmp_path / "worked").exists)
    follower = start(tmp_path, "pass")
    time.sleep(0.3)
    assert worked(tmp_path) == 1
    leader.send_signal(signal.SIGKILL)  # not reaped yet: a zombie does not count as alive
    assert end([follower])[0] == [0]
    assert worked(tmp_path) == 2
    end([leader])


def test_a_failure_of_an_earlier_attempt_stops_nobody(tmp_path):
    assert end([start(tmp_path, "raise ValueError('earlier')")])[0] == [1]
    once_per_node(tmp_path / "staging", 1, (tmp_path / "second").touch, patience=1)
    assert (tmp_path / "second").exists()


def test_a_process_id_that_was_given_away_again_is_not_the_leader(tmp_path):
    staging = tmp_path / "staging"
    staging.mkdir()
    publish(staging / "leader.0", f"{os.getpid()} 12345")
    once_per_node(staging, 1, (tmp_path / "done").touch, patience=1)
    assert (tmp_path / "done").exists()


def test_waiting_ends(tmp_path):
    leader = start(tmp_path, "time.sleep(3600)")
    wait_until((tmp_path / "worked").exists)
    with pytest.raises(RunError, match=r"within 0\.3 s"):
        once_per_node(tmp_path / "staging", 2, lambda: None, patience=0.3)
    leader.kill()
    end([leader])


def test_a_failed_leader_does_not_wait_forever_for_the_others(tmp_path):
    def fail():
        raise InputError("wrong")

    begun = time.monotonic()
    with pytest.raises(InputError, match="wrong"):
        once_per_node(tmp_path / "staging", 8, fail, patience=1, linger=0.3)
    assert 0.3 <= time.monotonic() - begun < HANGS


def test_jobs_never_share_a_directory(tmp_path, monkeypatch):
    first, second = ({"MA_VJ_NAME": name} for name in ("job/1", "job/2"))
    assert (
        job_directory(first, "run", tmp_path)
        == job_directory(first, "run", tmp_path)
        != job_directory(second, "run", tmp_path)
    )
    assert job_directory(first, "run", tmp_path) != job_directory(first, "other", tmp_path)
    assert job_directory(first, "run", tmp_path).parent == tmp_path
    here = job_directory({"TORCHELASTIC_RUN_ID": "none"}, "run", tmp_path)
    assert here == job_directory({}, "run", tmp_path)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert job_directory({}, "run", tmp_path) != here
    monkeypatch.setattr(
        os, "getppid", lambda: 0
    )  # the starter is outside of the container: nothing is shared rather than too much
    assert str(os.getpid()) in job_directory({}, "run", tmp_path).name


def test_a_scratch_directory_that_somebody_else_planted_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    for name in ("link", "open", "file", "nowhere"):
        with pytest.raises(InputError, match="this user's own"):
            own_directory(tmp_path / name)
    assert own_directory(tmp_path / "new" / "mine").stat().st_mode & 0o777 == 0o700
    assert own_directory(tmp_path / "new" / "mine").is_dir()


@pytest.mark.parametrize("text", ["", "abc", "1 2 3", "x y", "\xff"])
def test_a_damaged_claim_is_succeeded(tmp_path, text):
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "leader.0").write_text(text, encoding="latin-1")
    once_per_node(staging, 1, (tmp_path / "done").touch, patience=HANGS)
    assert (tmp_path / "done").exists()
