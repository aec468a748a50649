"""Whole jobs: one epoch with LoRA on a data set, from the start of the process to its end, with tokenisation and
evaluation."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.bench.cases import MODEL
from common.bench.rounds import ratios
from common.bench.settings import Settings, say
from common.bench.step import pairs
from common.bench.subjects import OURS, PEERS, peer_folder
from common.bench.workers import environment
from common.errors import InputError, RunError

__all__ = ["JOBS", "measure_jobs"]

JOBS = {"trainer-512": "max_length", "trainer-dynamic": "group_by_length"}  #: peer to the padding of its batches
_TRAIN = "import sys; from common.cli.main import main; sys.exit(main())"


def measure_jobs(experiment: str, names: Sequence[str], settings: Settings, steps: int | None) -> dict[str, Any]:
    """``settings.rounds`` rounds of every job, in turn.

    Args:
        experiment: a shipped one of a classifier, or a file.
        steps: of the epoch that are run; the rest is extrapolated from the median step, and evaluation from its share.
            None runs all.

    Raises:
        InputError: there is no such subject, or no data are given.
    """
    unknown = [name for name in names if name not in OURS and name not in JOBS]
    if unknown:
        raise InputError(
            f"A subject of a job is one of {', '.join((*OURS, *JOBS))}; received {unknown[0]!r}. (Of a step: {', '.join(PEERS)}.)"
        )
    if not settings.data_dir:
        raise InputError(
            f"A job trains on the data of {experiment}; none were given. Name their folder with --data-dir."
        )
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(1, settings.rounds + 1):
        for name in names:
            runs[name].append(_run(experiment, name, settings, steps))
            say(
                f"round {number}: {name} {runs[name][-1]['seconds']:.1f} s{' (extrapolated)' if runs[name][-1]['extrapolated'] else ''}"
            )
    samples = {name: [run["seconds"] for run in found] for name, found in runs.items()}
    return {"experiment": experiment, "steps": steps, "subjects": runs, "ratios": ratios(samples, pairs(names))}


def _run(experiment: str, name: str, settings: Settings, steps: int | None) -> dict[str, Any]:
    sets = ["training.epochs=1", *settings.set] + ([f"training.max_steps={steps}"] if steps and name in OURS else [])
    assert settings.data_dir is not None  # measure_jobs refuses
    given = [
        "--model",
        settings.model or MODEL,
        "--data-dir",
        settings.data_dir,
        *(part for pair in sets for part in ("--set", pair)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        if name in OURS:
            device = ["--device", settings.device] if settings.device else []
            command = [
                sys.executable,
                "-c",
                _TRAIN,
                "train",
                experiment,
                "--backend",
                name,
                "--name",
                "job",
                "--output",
                folder,
                *device,
                *given,
            ]
            summary = Path(folder) / "job" / name / "summary.json"
        else:
            summary = Path(folder) / "summary.json"
            command = [
                sys.executable,
                str(peer_folder("pytorch") / "trainer_peer.py"),
                experiment,
                "--padding",
                JOBS[name],
                "--output",
                str(summary),
                *given,
            ]
            command += ["--steps", str(steps)] if steps else []
            command += ["--device", settings.device] if settings.device else []
        begun = time.perf_counter()
        done = subprocess.run(command, env=environment(settings.threads), capture_output=True, text=True, check=False)
        wall = time.perf_counter() - begun
        if done.returncode:
            raise RunError(
                f"The job of {name} ended with exit code {done.returncode}. Its last lines:\n{done.stderr[-1500:]}"
            )
        found = json.loads(summary.read_text(encoding="utf-8"))
    return _own(found, wall) if name in OURS else _extended(found, wall)


def _own(summary: dict[str, Any], wall: float) -> dict[str, Any]:
    """Of a run of twinlora: the epoch's time, the share of it that steps waited for data, and how often a graph was
    compiled."""
    seconds, size = summary["seconds"], summary["settings"]["training"]["global_batch_size"]
    missing = -(-summary["data"]["sizes"]["train"] // size) - summary["steps"]
    kept = {
        key: summary[key]
        for key in (
            "steps",
            "batch_shapes",
            "compiled_graphs",
            "seconds_per_step",
            "peak_memory_bytes",
            "validation",
            "test",
        )
    }
    stretched = max(0, missing) * summary["seconds_per_step"]
    share = seconds["data"] / seconds["training"]
    return kept | {
        "seconds": wall + stretched,
        "measured": wall,
        "extrapolated": missing > 0,
        "data_share": share,
        "compile": seconds["compile"],
    }


def _extended(summary: dict[str, Any], wall: float) -> dict[str, Any]:
    """Of a peer, which says how much of its training and evaluation it left out."""
    return summary | {"seconds": wall + summary["left_out"], "measured": wall, "extrapolated": summary["left_out"] > 0}
