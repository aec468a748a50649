#!/usr/bin/env python3
"""Kill a study with SIGKILL at random moments, start it again, and compare its tables with an unbroken study's.

    python scripts/faults/study.py --kills 5 -o runs/faults/study.json

``--kind``: a ``grid`` of three points, or a ``search`` of four trials with pruning, two at a time. The study is killed
and started again at once, while the processes of its runs may still be saving their state, until it comes to its end.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from laboratory import ROOT, Counts, argument_parser, differences, experiment, finish, problems_of

from common.studies.layout import StudyDirectory

_LONGEST = 1800.0  #: seconds after which a study counts as hanging
_PROMISE = (
    "every file whole after the kill; started again, plan, outcomes, metrics, adapters and trials of the search are those "
    "of an unbroken study"
)
_KINDS = {
    "grid": "axes:\n  adaptation.rank: [2, 4, 8]\n",
    "search": (
        "search:\n  trials: 4\n  startup_trials: 2\n  workers: 2\n  prune: {startup_trials: 1}\n"
        "  space:\n    optimization.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}\n"
    ),
}
_RESULTS = ("status", "steps", "best_step", "validation", "test", "trainable")


class Study:
    """One study in ``folder``, whose process is started and killed."""

    def __init__(self, folder: Path, kind: str, data: Path | None, backend: str):
        experiment(folder, data, steps=24)
        self.file, self.backend = folder / f"{kind}.yaml", backend
        self.file.write_text(f"base: trial.yaml\n{_KINDS[kind]}", encoding="utf-8")
        self.directory = StudyDirectory(folder / "studies" / kind)

    def __call__(self, after: float | None = None) -> tuple[int, float]:
        """Exit code (-9: killed) and seconds."""
        command = [sys.executable, "-m", "twinlora", "study", "run", str(self.file), "--jobs", "2"]
        command += ["--output", str(self.directory.path.parent), "--backend", self.backend]
        environ = os.environ | {"PYTHONPATH": str(ROOT), "TWINLORA_CACHE": str(self.file.parent / "cache")}
        begun = time.monotonic()
        with open(self.file.parent / "said.log", "ab") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said, env=environ, cwd=self.file.parent)
            try:
                process.wait(_LONGEST if after is None else after)
            except subprocess.TimeoutExpired as error:
                process.send_signal(signal.SIGKILL)
                process.wait()
                if after is None:
                    raise TimeoutError("the study has not ended") from error
        return process.returncode, time.monotonic() - begun

    def problems(self) -> list[str]:
        """What is not whole."""
        folder = self.directory.path
        return problems_of(folder) if folder.is_dir() else []

    def tables(self) -> dict[str, Any]:
        """Everything that a table of the study is made of, but times and places."""
        rows = []
        for point in self.directory.points():
            summary = self.directory.run(point).read_summary() or {}
            state = self.directory.state(point)
            scores = {key: summary.get(key) for key in _RESULTS} if state == "finished" else {}
            rows.append({"id": point["id"], "label": point["label"], "state": state} | scores)
        search = self.directory.search
        return {"rows": rows, "search": json.loads(search.read_text(encoding="utf-8")) if search.is_file() else None}

    def compare(self, whole: Study) -> list[str]:
        """In what this study differs from one that nothing happened to."""
        ours, theirs = self.tables(), whole.tables()
        found = [f"{key}: {ours[key]} instead of {theirs[key]}"[:300] for key in ours if ours[key] != theirs[key]]
        for point in self.directory.points() if not found else ():
            if self.directory.state(point) == "finished":
                runs = self.directory.run(point).path, whole.directory.run(point).path
                found += [f"{point['id']}: {what}" for what in differences(*runs)]
        return found


def main() -> None:
    """The command."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--backend", default="pytorch", choices=("pytorch", "mindspore"))
    parser.add_argument("--kills", type=int, default=5, metavar="N")
    parser.add_argument("--kind", action="append", choices=tuple(_KINDS), help="default: grid")
    arguments = parser.parse_args()
    Counts.output = arguments.output
    where = {"pytorch": "PyTorch", "mindspore": "MindSpore"}[arguments.backend]
    for kind in arguments.kind or ["grid"]:
        counts = Counts(f"kill -9 of a study ({kind}) at random moments", where, _PROMISE)
        _kill(counts, kind, arguments)
    finish()


def _kill(counts: Counts, kind: str, arguments: Any) -> None:
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as whole_folder:
        whole = Study(Path(whole_folder), kind, arguments.data, arguments.backend)
        code, seconds = whole()
        if code:
            raise SystemExit(f"the unbroken study ended with {code}: {(Path(whole_folder) / 'said.log').read_text()}")
        counts.notes["seconds of an unbroken study"] = round(seconds, 1)
        finished = 0
        while counts.tried < arguments.kills:
            with tempfile.TemporaryDirectory() as folder:
                study, code = Study(Path(folder), kind, arguments.data, arguments.backend), -9
                while code == -9:
                    left = counts.tried < arguments.kills
                    code, lived = study(moments.uniform(0, seconds) if left else None)
                    if code == -9:
                        counts.trial(f"kill {counts.tried + 1}, after {lived:.0f} s", study.problems())
                finished += 1
                problems = [f"exit code {code}"] if code else study.compare(whole)
                if problems:
                    counts.wrong.append({"trial": f"study {finished}", "problems": problems})
                    print(f"WRONG study {finished}: {problems}", file=sys.stderr, flush=True)
                counts.notes["finished studies compared"] = finished
                counts.write()


if __name__ == "__main__":
    main()
