#!/usr/bin/env python3
"""Send SIGTERM, SIGINT and SIGHUP to every launcher while its processes train; all must end, with their state saved.

    python scripts/faults/signals.py -o runs/faults/signals.json

Each job is continued afterwards and must end in the bytes of one that nothing happened to. The scripts start the
``twinlora`` on PATH.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from laboratory import ROOT, Counts, argument_parser, differences, experiment, finish, problems_of

_PROMISE = "exit code not 0, no process left, state saved; continued, the bytes of an unbroken job"
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")
_LONGEST = 1800.0


def _job(folder: Path, backend: str, resume: bool) -> subprocess.Popen[bytes]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        "bash",
        f"{ROOT}/scripts/{backend}/distributed.sh",
        f"{folder}/trial.yaml",
        "--processes",
        "2",
        "--port",
        str(port),
    ]
    command += [
        "--device",
        "cpu",
        "--output",
        f"{folder}/runs",
        "--logs",
        f"{folder}/logs",
        "--grace",
        "300",
        *(["--resume"] * resume),
    ]
    log = open(folder / "said", "ab")  # noqa: SIM115
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=log,
        stderr=log,
        env=os.environ | {"FAULTS_JOB": str(folder)},
        start_new_session=True,
    )


def _left(folder: Path) -> list[int]:
    """Processes of the job that are still there, by a variable that they inherit."""
    mark, found = f"FAULTS_JOB={folder}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if alive and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _trained(folder: Path, run: Path, steps: int, job: subprocess.Popen[bytes]) -> bool:
    log, until = folder / run / "metrics.jsonl", time.monotonic() + _LONGEST
    while time.monotonic() < until and job.poll() is None:
        if log.is_file() and log.read_bytes().count(b'"event": "step"') >= steps:
            return True
        time.sleep(0.05)
    return False


def _trial(folder: Path, whole: Path, backend: str, data: Path | None, name: str) -> list[str]:
    run = Path("runs/trial") / backend
    experiment(folder, data, steps=60, every=20)
    job = _job(folder, backend, resume=False)
    if not _trained(folder, run, 5, job):
        return [f"it did not train: {(folder / 'said').read_text(errors='replace')[-500:]}"]
    os.kill(job.pid, getattr(signal, name))
    code = job.wait(_LONGEST)
    problems = ["exit code 0"] if code == 0 else []
    time.sleep(1)
    problems += [f"{len(_left(folder))} processes are left"] if _left(folder) else []
    problems += problems_of(folder / run)
    if not (folder / run / "checkpoint/state.safetensors").is_file():
        problems.append("no state was saved")
    code = _job(folder, backend, resume=True).wait(_LONGEST)
    return problems + ([f"continuing it ended with {code}"] if code else differences(folder / run, whole / run))


def main() -> None:
    """The command."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--backends", default="pytorch,mindspore")
    parser.add_argument("--signals", default=",".join(_SIGNALS))
    arguments = parser.parse_args()
    Counts.output = arguments.output
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    for backend in arguments.backends.split(","):
        counts = Counts("signals to the launcher", f"scripts/{backend}/distributed.sh", _PROMISE)
        with tempfile.TemporaryDirectory() as whole:
            experiment(Path(whole), arguments.data, steps=60, every=20)
            if _job(Path(whole), backend, resume=False).wait(_LONGEST):
                sys.exit(f"the unbroken job failed: {(Path(whole) / 'said').read_text(errors='replace')[-1000:]}")
            for name in arguments.signals.split(","):
                with tempfile.TemporaryDirectory() as folder:
                    trial = (Path(folder), Path(whole), backend, arguments.data, name)
                    counts.guarded(name, lambda trial=trial: _trial(*trial))
    finish()


if __name__ == "__main__":
    main()
