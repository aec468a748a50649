"""Running golden cases through the public entry points: ``load_config``, ``train`` and the scripts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.golden.cases import Case, overrides, write_data
from tests.golden.reading import read_run
from tests.support import free_port

__all__ = ["ROOT", "environment", "run_cases"]

ROOT = Path(__file__).resolve().parents[2]
_INTERRUPTED_STEP = 4
_GUARD = 1800  #: seconds after which a job of several processes is taken to hang


def run_cases(cases: Sequence[Case], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run ``cases`` in this process, those with execution ``processes`` in two others; yield (name, record).

    The record of a case that fails is ``{"error": traceback}``, so that the others are still run.
    """
    write_data(folder)
    for case in cases:
        file = folder / f"{case.name}.yaml"
        file.write_text(case.yaml, encoding="utf-8")
        run = {"whole": _whole, "resumed": _resumed, "processes": _processes}[case.execution]
        try:
            run(case, file, folder)
            record = read_run(folder / "runs" / case.name / case.backend)
        except Exception:
            record = {"error": traceback.format_exc()}
        yield case.name, record


def environment(folder: Path) -> dict[str, str]:
    """One thread, a cache of its own, and the tested interpreter and checkout first."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TWINLORA_CACHE": str(folder / "cache"),
        "PYTHONPATH": paths,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def _train(case: Case, file: Path, folder: Path, **options: Any) -> None:
    from common.config import load_config
    from common.training.run import train

    train(load_config(file, overrides(folder)), case.backend, "cpu", folder / "runs", **options)


def _whole(case: Case, file: Path, folder: Path) -> None:
    _train(case, file, folder, progress=_progress(None))


def _resumed(case: Case, file: Path, folder: Path) -> None:
    from common.errors import RunError

    try:
        _train(case, file, folder, progress=_progress(_INTERRUPTED_STEP))
    except RunError as error:
        if f"after step {_INTERRUPTED_STEP} of " not in str(error):
            raise
    else:
        raise AssertionError(f"{case.name}: the run was to be interrupted after step {_INTERRUPTED_STEP}")
    _train(case, file, folder, resume=True, progress=_progress(None))


def _processes(case: Case, file: Path, folder: Path) -> None:
    command = ["bash", str(ROOT / f"scripts/{case.backend}/distributed.sh"), str(file)]
    command += ["--processes", "2", "--port", free_port(), "--logs", str(folder / "logs")]
    command += ["--device", "cpu", "--output", str(folder / "runs")]
    for override in overrides(folder):
        command += ["--set", override]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(folder), timeout=_GUARD, check=False)
    if done.returncode:
        raise RuntimeError(f"{case.name}: exit code {done.returncode}: {done.stderr[-3000:]}")


def _progress(interrupted_step: int | None) -> Any:
    from common.training.progress import Progress

    class Quiet(Progress):
        """Prints nothing; sends the signal of Ctrl-C when ``interrupted_step`` is logged."""

        def say(self, text: str) -> None:
            pass

        def step(self, event: dict[str, Any]) -> None:
            if event["step"] == interrupted_step:
                os.kill(os.getpid(), signal.SIGINT)

    return Quiet()
