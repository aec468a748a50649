"""The program around a launcher: the port is tested first, signals reach the training, and no process outlives the job,
however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from common.errors import InputError
from common.launch.descendants import descendants
from common.launch.supervise import check_port
from tests.support import HANGS, alive, free_port

ROOT = Path(__file__).resolve().parents[2]
WORKER = ROOT / "scripts" / "mindspore" / "worker.py"
# Like msrun: starts workers in sessions of their own through worker.py, and ends when one of them fails.
LAUNCHER = """
import os, signal, subprocess, sys, time
notes, count, training, *rest = sys.argv[1:]
workers = [
    subprocess.Popen(
        [sys.executable, {worker!r}, notes, training, notes],
        preexec_fn=os.setsid,
        env={{**os.environ, "MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank)}},
    )
    for rank in range(int(count))
]
while all(worker.poll() in (None, 0) for worker in workers):
    if all(worker.poll() == 0 for worker in workers):
        sys.exit(0)
    time.sleep(0.02)
sys.exit(1)
"""
# A training that saves its state on SIGTERM, or does not hear it.
TRAINING = """
import os, signal, sys, time
from pathlib import Path
notes, rank = Path(sys.argv[1]), os.environ["MS_NODE_ID"]
def save(*_):
    (notes / f"saved.{{rank}}").touch()
    sys.exit(1)
signal.signal(signal.SIGTERM, {action})
(notes / f"ready.{{rank}}").write_text(str(os.getpid()))
time.sleep({seconds})
"""


@pytest.fixture
def job(tmp_path):
    """Starts a job of two workers under the program; ends it in any case."""
    started = []

    def start(action="save", seconds=3600, grace=HANGS, launcher=LAUNCHER, prefix=(), ready=True, heard=True):
        (tmp_path / "launcher.py").write_text(launcher.format(worker=str(WORKER)))
        (tmp_path / "training.py").write_text(TRAINING.format(action=action, seconds=seconds))
        options = [
            "--master",
            "127.0.0.1",
            "--port",
            free_port(),
            "--node-rank",
            "0",
            "--grace",
            str(grace),
            "--workers-first",
        ]
        command = [
            *prefix,
            sys.executable,
            str(ROOT / "scripts/supervise.py"),
            *options,
            "--msrun-logs",
            str(tmp_path),
            "--",
        ]
        command += [sys.executable, str(tmp_path / "launcher.py"), str(tmp_path), "2", str(tmp_path / "training.py")]
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=partial(hear, heard)
        )
        started.append(process)
        if ready:
            wait_for(lambda: len(trainings(tmp_path)) == 2, process)
        return process

    yield start
    for process in started:
        for left in [*descendants(process.pid), *trainings(tmp_path)]:
            if alive(left):
                os.kill(left, signal.SIGKILL)
        process.kill()
        process.communicate(timeout=HANGS)


def hear(heard):
    """As in a terminal, or as started by nohup or in the background: whoever starts the tests in that way ignores these
    signals, and every child would."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL if heard else signal.SIG_IGN)


def wait_for(condition, process=None):
    deadline = time.monotonic() + HANGS
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def trainings(folder):
    return [int(text) for path in folder.glob("ready.*") if (text := path.read_text())]


def test_a_job_that_ends_well_is_code_0(job, tmp_path):
    (tmp_path / "worker_0.log").write_text("DISTRIBUTED\nthe last line\n")
    process = job(seconds=0, ready=False)
    out, err = process.communicate(timeout=HANGS)
    assert (process.returncode, out, err) == (0, "the last line\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_every_training_save_its_state_and_leaves_nothing(job, tmp_path, number):
    process = job()
    below = descendants(process.pid)
    assert len(below) == 5  # the launcher, two workers, two trainings
    process.send_signal(number)
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode != 0
    assert {path.name for path in tmp_path.glob("saved.*")} & {"saved.0", "saved.1"}
    assert f"received {number.name}" in err
    wait_for(lambda: not any(map(alive, below)))


def test_a_job_in_the_background_ends_on_sigterm_and_saves(job, tmp_path):
    process = job(heard=False)
    below = descendants(process.pid)
    process.terminate()
    _, err = process.communicate(timeout=HANGS)
    assert "is killed" not in err
    assert {path.name for path in tmp_path.glob("saved.*")} & {"saved.0", "saved.1"}
    wait_for(lambda: not any(map(alive, below)))


def test_a_training_that_does_not_hear_is_killed_after_the_grace(job, tmp_path):
    process = job(action="signal.SIG_IGN", grace=0.3)
    below = descendants(process.pid)
    process.terminate()
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode != 0
    assert "has not ended and is killed" in err
    wait_for(lambda: not any(map(alive, below)))


def test_a_second_signal_kills_at_once(job):
    process = job(action="signal.SIG_IGN")
    below = descendants(process.pid)
    process.terminate()
    assert "received SIGTERM" in process.stderr.readline()
    process.terminate()
    _, err = process.communicate(timeout=HANGS)
    assert "second signal" in err
    wait_for(lambda: not any(map(alive, below)))


@pytest.mark.parametrize("heard", [True, False], ids=["terminal", "nohup"])
@pytest.mark.parametrize("victim", [0, 1, 3])
def test_whoever_is_killed_nothing_is_left(job, tmp_path, victim, heard):
    """The program itself, its launcher, or a training."""
    process = job(heard=heard)
    processes = [process.pid, *descendants(process.pid)]
    os.kill(processes[victim] if victim < 2 else trainings(tmp_path)[0], signal.SIGKILL)
    process.communicate(timeout=HANGS)
    assert process.returncode != 0
    wait_for(lambda: not any(map(alive, processes[1:])))


def test_a_signal_while_the_launcher_starts_ends_it(job):
    process = job(launcher="import time\nprint('importing', flush=True)\ntime.sleep(3600)", ready=False)
    assert process.stdout.readline() == "importing\n"
    process.terminate()
    process.communicate(timeout=HANGS)
    assert process.returncode not in (0, None)


def test_a_hangup_that_nohup_ignores_stays_ignored(job, tmp_path):
    process = job(prefix=("nohup",))
    process.send_signal(signal.SIGHUP)
    process.terminate()
    _, err = process.communicate(timeout=HANGS)
    assert "received SIGTERM" in err


def test_an_occupied_port_is_refused_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for backend in ("pytorch", "mindspore"):
            command = [
                "bash",
                str(ROOT / f"scripts/{backend}/distributed.sh"),
                "bert_sst2",
                "--port",
                port,
                "--logs",
                str(tmp_path / "logs"),
            ]
            environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
            done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, check=False, env=environment)
            assert done.returncode == 2
            assert (
                done.stderr
                == f"error: --port must be free on the node of rank 0; another program uses {port}. Choose another one, the same on every node.\n"
            )


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("192.0.2.1", 29511, "another machine"),
        ("no such host", 29511, "can be resolved"),
        ("127.0.0.1", 65536, "from 1 to 65535"),
        ("127.0.0.1", 10**12, "from 1 to 65535"),
    ],
)
def test_a_master_or_port_that_cannot_be_is_refused(host, port, message):
    with pytest.raises(InputError, match=message):
        check_port(host, port)


def test_a_free_port_is_fine_even_just_after_it_was_used():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            pass
    check_port("127.0.0.1", port)
    check_port("localhost", port)


# Like msrun: does not look at its scheduler, and calls being stopped a success.
BLIND = """
import os, signal, subprocess, sys, time
notes = sys.argv[1]
def start(program, **roles):
    return subprocess.Popen([sys.executable, {worker!r}, notes, program, notes], preexec_fn=os.setsid, env={{**os.environ, **roles}})
worker = start(sys.argv[3], MS_ROLE="MS_WORKER", MS_NODE_ID="0")
def stop(*_):
    worker.kill()
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
broken = notes + "/broken.py"
open(broken, "w").write("raise SystemExit(7)")
start(broken, MS_ROLE="MS_SCHED")
time.sleep(3600)
"""


def test_a_scheduler_that_cannot_start_ends_the_job_and_is_named(job, tmp_path):
    process = job(launcher=BLIND, ready=False)
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode == 1
    assert "scheduler ended first: exit code 7" in err
    assert "Is the port taken" in err
    wait_for(lambda: not any(map(alive, trainings(tmp_path))))
