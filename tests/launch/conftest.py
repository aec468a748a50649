"""A bucket that is a folder, and a code directory whose training is a stub, so that a whole node of processes starts
within a second."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.launch.processes import ROOT
from common.launch.topology import READ
from tests.support import HANGS

HERE = Path(__file__).parent

# Writes what twinlora train writes, and keeps its promises: --resume continues after the last checkpoint, only the
# first of several processes writes, and msrun's scheduler trains nothing. STUB_CRASH is for the first process, as a
# launcher that loses another one may stop the first before it has written anything.
STUB = """
import json, os, sys, time
from pathlib import Path

def main(arguments):
    option = {name: arguments[arguments.index(name) + 1] for name in ("--backend", "--output", "--name")}
    run, rank = Path(option["--output"], option["--name"], option["--backend"]), os.environ.get("RANK_ID", os.environ.get("RANK", "0"))
    print("run directory", run.resolve())
    if os.environ.get("MS_ROLE") == "MS_SCHED":
        print("coordinates with", *arguments)
        return 0
    if rank != "0":
        run = Path("own")
    checkpoint = run / "checkpoint" / "state.safetensors"
    step = int(checkpoint.read_text()) if checkpoint.exists() else 0
    print("rank", rank, "begins after step", step, "with", *arguments)
    print("rank table", os.environ.get("RANK_TABLE_FILE"))
    for name in ("adapter", "checkpoint"):
        (run / name).mkdir(parents=True, exist_ok=True)
    while step < 4:
        step += 1
        checkpoint.write_text(str(step))
        (run / "adapter" / "adapter_model.safetensors").write_text("A" * step)
        with open(run / "metrics.jsonl", "a") as log:
            log.write(json.dumps({"step": step}) + "\\n")
        time.sleep(float(os.environ.get("STUB_SECONDS", 0)))
        if rank == "0" and os.environ.get("STUB_CRASH") == str(step):
            print("out of memory", file=sys.stderr)
            return 7
    (run / "summary.json").write_text(json.dumps({"status": "finished"}))
"""


class Cluster:
    """Starts boot files and reads what became of them."""

    def __init__(self, folder: Path):
        self.store, self.scratch, self.code = folder / "store", folder / "scratch", folder / "code"
        self.bucket = self.store / "bucket"
        self.bucket.mkdir(parents=True)
        self.scratch.mkdir()
        for name in ("data", "model"):
            (self.bucket / name / "deep").mkdir(parents=True)
            (self.bucket / name / "train.csv").write_text("text,label\n" * 50)
            (self.bucket / name / "deep" / "test.csv").write_text("text,label\n" * 9)
        ours = {name: value for name, value in os.environ.items() if name not in (*READ, "PYTHONUNBUFFERED")}
        self.environ = ours | {
            "PYTHONPATH": str(HERE / "fakes"),
            "FAKE_STORE": str(self.store),
            "TMPDIR": str(self.scratch),
            "MA_VJ_NAME": "job-1",
            "OMP_NUM_THREADS": "1",
        }
        self._launch_tree()

    def _launch_tree(self) -> None:
        shutil.copytree(
            ROOT / "common" / "launch", self.code / "common" / "launch", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copytree(ROOT / "scripts" / "modelarts", self.code / "scripts" / "modelarts")
        for name in (
            "__init__.py",
            "errors.py",
            "reading.py",
            "resources.py",
            "terminal.py",
            "writing.py",
        ):  # standard library
            shutil.copy(ROOT / "common" / name, self.code / "common")
        (self.code / "common" / "cli").mkdir()
        (self.code / "common" / "cli" / "__init__.py").touch()
        (self.code / "common" / "cli" / "main.py").write_text(STUB)

    def start(self, *arguments: str, code: Path | None = None, **environ: str) -> subprocess.Popen:
        """Start one boot file. Its output is that of the process, in ``stdout``."""
        boot = [sys.executable, str((code or self.code) / "scripts" / "modelarts" / "boot.py")]
        fixed = ["--config", "trial", "--backend", "pytorch", "--stage_backoff", "0.05", "--stage_timeout", str(HANGS)]
        return subprocess.Popen(
            [*boot, *fixed, *arguments],
            env=self.environ | environ,
            cwd=self.scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, code: Path | None = None, limit: float = HANGS, **environ: str) -> tuple[int, str]:
        """Exit code and output of one boot file, which ends within ``limit`` seconds."""
        process = self.start(*arguments, code=code, **environ)
        output = process.communicate(timeout=limit)[0]
        return process.returncode, output

    def run_node(self, ranks: int, *arguments: str, **environ: str) -> list[tuple[int, str]]:
        """A node of ``ranks`` cards, each with the process that the platform starts for it."""
        table = {"RANK_TABLE_FILE": str(self.rank_table(ranks)), "RANK_SIZE": str(ranks)}
        processes = [
            self.start(*arguments, "--device", "cpu", **table, RANK_ID=str(rank), **environ) for rank in range(ranks)
        ]
        outputs = [process.communicate(timeout=HANGS)[0] for process in processes]
        return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]

    def rank_table(self, ranks: int) -> Path:
        """A rank table of one node, in the older template, which has to be converted."""
        devices = ", ".join(f'{{"device_id": "{rank}", "device_ip": "192.0.2.{rank}"}}' for rank in range(ranks))
        instances = f'[{{"pod_name": "job-1-0", "server_id": "192.0.2.99", "devices": [{devices}]}}]'
        path = self.scratch / "jobstart_hccl.json"
        path.write_text(
            f'{{"status": "completed", "group_count": "1", "group_list": [{{"instance_list": {instances}}}]}}'
        )
        return path

    def calls(self) -> list[str]:
        """The names of the calls of the store so far."""
        log = self.store / "calls"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []

    def forget_scratch(self) -> None:
        """What a restart in a new container begins with."""
        shutil.rmtree(self.scratch)
        self.scratch.mkdir()


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """One node and one bucket."""
    return Cluster(tmp_path)
