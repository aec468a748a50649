"""What programs share that train a list of experiments once each, keep of every run what a page shows, and write the
page."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import write_atomic, write_json

__all__ = ["BACKENDS", "Jobs", "Seeded", "Trainings", "essence", "every_seed", "losses_of", "read_summary", "seeds_of"]

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = {"pytorch": "PyTorch", "mindspore": "MindSpore"}
_VECTORS = "{glove}"  #: in a change: the file of word vectors
_RUNS = "{runs}"  #: in a change: the folder of the runs, one of which a job may start from
Jobs = Mapping[str, tuple[str, str, tuple[str, ...]]]  #: by name: experiment, folder of the data, changes
#: By name without its seed: experiment, folder of the data, changes, seeds.
Seeded = Mapping[str, tuple[str, str, tuple[str, ...], tuple[int, ...]]]


def read_summary(run: Path) -> dict[str, Any] | None:
    """Of a finished run; None where it is none."""
    path = run / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return None if summary is None or summary["status"] == "failed" else summary


def losses_of(run: Path) -> dict[int, float]:
    """The logged losses by step."""
    file = run / "metrics.jsonl"
    events = map(json.loads, file.read_text(encoding="utf-8").splitlines()) if file.is_file() else ()
    return {event["step"]: event["loss"] for event in events if event["event"] == "step"}


def every_seed(seeded: Seeded) -> Jobs:
    """A job for each seed, ``NAME_SEED``."""
    return {
        f"{name}_{seed}": (experiment, folder, (*changes, f"seed={seed}"))
        for name, (experiment, folder, changes, seeds) in seeded.items()
        for seed in seeds
    }


def seeds_of(seeded: Seeded, name: str, backend: str, kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is kept of the runs of ``name``, in the order of their seeds."""
    found = (kept.get(f"{name}_{seed} {backend}") for seed in seeded[name][3])
    return [run for run in found if run]


def essence(summary: Mapping[str, Any], metrics: Iterable[str] = ("accuracy",)) -> dict[str, Any]:
    """What every page shows of a run; each metric by split, of which the test split may have no labels."""
    kept = {key: summary[key] for key in ("seed", "status", "steps", "epochs", "best_step", "versions", "hardware")}
    for metric in metrics:
        kept[metric] = {split: summary[split][metric] for split in ("validation", "test") if summary[split]}
    return kept | {"trained": summary["trainable"]["total"]}


@dataclass(frozen=True)
class Trainings:
    """The jobs of one page: docs/studies/NAME.md, made of docs/studies/NAME.json, with runs below runs/NAME."""

    name: str
    jobs: Jobs
    essence: Callable[[dict[str, Any]], dict[str, Any]]  #: what is kept of a summary, under ``JOB BACKEND``
    page: Callable[[dict[str, Any]], str]  #: of all that is kept

    def main(self, text: str | None) -> None:
        """The command line, described by ``text``."""
        parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("jobs", nargs="*", metavar="JOB", help="with --train; default: all")
        parser.add_argument("--train", type=Path, metavar="DATA")
        parser.add_argument("--take", action="store_true")
        parser.add_argument("--backend", choices=BACKENDS, default="pytorch")
        parser.add_argument("--runs", type=Path, default=ROOT / "runs" / self.name)
        args = parser.parse_args()
        if unknown := set(args.jobs) - set(self.jobs):
            raise InputError(f"A job is one of {', '.join(self.jobs)}; received {', '.join(sorted(unknown))}.")
        if args.train:
            self.train(args.jobs or self.jobs, args.train, args.runs, args.backend)
        if args.take:
            write_json(self.kept_file, self.kept() | self.taken(args.runs))
        if args.take or not args.train:
            write_atomic(ROOT / f"docs/studies/{self.name}.md", self.page(self.kept()))

    @property
    def kept_file(self) -> Path:
        """Where it is kept."""
        return ROOT / f"docs/studies/{self.name}.json"

    def kept(self) -> dict[str, Any]:
        """What is kept so far."""
        return json.loads(self.kept_file.read_text(encoding="utf-8")) if self.kept_file.is_file() else {}

    def train(self, names: Iterable[str], data: Path, runs: Path, backend: str) -> None:
        """Train every job that has no finished run, in a process of its own; one that was interrupted goes on."""
        for name in names:
            if read_summary(runs / name / backend) is not None:
                print(f"{name}, {backend}: trained already")
                continue
            subprocess.run(self.command(name, data, runs, backend), check=True)

    def command(self, name: str, data: Path, runs: Path, backend: str) -> list[str]:
        """Of the training of a job.

        Raises:
            InputError: it starts from word vectors, and there are none.
        """
        experiment, folder, changes = self.jobs[name]
        vectors = next(iter(sorted((data / "glove").glob("*.txt"))), None)
        if vectors is None and any(_VECTORS in change for change in changes):
            raise InputError(f"{name} starts from word vectors; {data}/glove must hold a .txt file of them.")
        command = [sys.executable, "-m", "twinlora", "train", experiment, "--backend", backend, "--name", name]
        command += ["--output", str(runs), "--data-dir", str(data / folder), "--resume"]
        for change in changes:
            command += ["--set", change.replace(_VECTORS, str(vectors)).replace(_RUNS, str(runs))]
        return command

    def taken(self, runs: Path) -> dict[str, Any]:
        """What is kept of every finished run below ``runs``.

        Raises:
            InputError: there is none.
        """
        found = {}
        for name in self.jobs:
            for backend in BACKENDS:
                summary = read_summary(runs / name / backend)
                if summary is not None:
                    found[f"{name} {backend}"] = self.essence(summary)
        if not found:
            raise InputError(f"Finished runs were expected below {runs}; there are none. Make them with --train.")
        return found
