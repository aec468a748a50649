"""How long one answer takes: native engines and exported graphs, in turn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.bench.rounds import median
from common.bench.settings import Settings, say
from common.bench.workers import Worker
from common.errors import InputError

__all__ = ["measure_latency"]

_WARMUP = 5  #: answers before the first that counts, among them what is compiled


def measure_latency(
    artifacts: Sequence[str], settings: Settings, rows: int, tokens: int, count: int, split: str | None = None
) -> dict[str, Any]:
    """``settings.rounds`` rounds of ``count`` answers of every artifact, in turn, each in a process of its own.

    Args:
        artifacts: run directories, each computed in its own backend, or ``BACKEND:RUN``; or exported models.
        rows: of a batch of random tokens without padding.
        split: of the artifacts' data, on which each is scored by its ``training.metric`` when all have answered.

    Returns:
        For each artifact the seconds of an answer: median, 95th percentile and all samples; sentences and tokens per
        second at the median; the bytes of its arrays on disk; the peak memory of its process; its time divided by
        that of the first; and its score.

    Raises:
        InputError: an artifact is named twice, or is none; or they are scored by different metrics.
    """
    if len(set(artifacts)) != len(artifacts) or not artifacts:
        raise InputError(f"Every artifact is measured once; received {', '.join(artifacts) or 'none'}.")
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, settings.threads)) for name in artifacts}
        about = {}
        for name, worker in workers.items():
            backend, path = named(name)
            about[name] = worker.ask("open_artifact", path=path, backend=backend, device=settings.device)
            worker.ask("answer", rows=rows, tokens=tokens, count=_WARMUP)
        samples: dict[str, list[float]] = {name: [] for name in artifacts}
        for number in range(1, settings.rounds + 1):
            for name, worker in workers.items():
                samples[name] += worker.ask("answer", rows=rows, tokens=tokens, count=count)["seconds"]
            say(
                f"round {number} of {settings.rounds}: "
                + ", ".join(f"{median(found) * 1e3:.2f} ms" for found in samples.values())
            )
        memory = {name: worker.ask("peak")["bytes"] for name, worker in workers.items()}
        metric = None if split is None else _one_metric(about) | {"split": split}
        data = settings.data_dir
        scores = {name: worker.ask("score", split=split, data_dir=data) for name, worker in workers.items() if split}
    first = median(samples[artifacts[0]])
    found = {}
    for name in artifacts:
        middle = median(samples[name])
        found[name] = {
            **about[name],
            "median": middle,
            "p95": float(np.percentile(samples[name], 95)),
            "sentences_per_second": rows / middle,
            "tokens_per_second": rows * tokens / middle,
            "peak_memory_bytes": memory[name],
            "ratio": middle / first,
            "samples": samples[name],
            **scores.get(name, {}),
        }
    shape = {"rows": rows, "tokens": tokens, "threads": settings.threads, "answers_per_round": count}
    return shape | ({} if metric is None else {"metric": metric}) | {"artifacts": found}


def _one_metric(about: Mapping[str, Any]) -> dict[str, Any]:
    """The metric that all artifacts are scored by. Raises InputError where there are several."""
    names = {one["metric"] for one in about.values()}
    if len(names) > 1:
        listed = "; ".join(f"{name}: {one['metric']}" for name, one in about.items())
        raise InputError(
            f"Artifacts that are compared by their score must have one training.metric; received {listed}."
        )
    [name] = names
    return {"name": name, "higher_is_better": next(iter(about.values()))["higher_is_better"]}


def named(name: str) -> tuple[str | None, str]:
    """(backend, path) of ``BACKEND:RUN`` or ``RUN``."""
    from common.backend import BACKENDS

    backend, colon, path = name.partition(":")
    return (backend, path) if colon and backend in BACKENDS else (None, name)


class Answering:
    """What a worker asks of an artifact. Its engine answers batches of random tokens."""

    def __init__(self, path: str, backend: str | None, device: str | None):
        from common.exporting import is_export, open_export
        from common.exporting.runtime import engine_of
        from common.training.assembly import open_trained
        from common.training.rundir import RunDirectory

        folder = Path(path)
        exported = is_export(folder)
        self.trained = open_export(folder) if exported else open_trained(RunDirectory(folder))
        self.engine = engine_of(self.trained, backend, None if exported else device)
        metric = self.trained.config.training.metric
        self.about: dict[str, Any] = {"kind": "onnx" if exported else backend or self.trained.summary["backend"]}
        self.about |= {"metric": metric, "higher_is_better": self.trained.task.higher_is_better(metric)}
        self.about["bytes"] = sum(file.stat().st_size for file in _stored(folder)) if exported else self._native_bytes()

    def _native_bytes(self) -> int:
        """Of every array of the network: float32, or integers where its weights are stored in few bits."""
        added = sum(parameter.size for edit in self.trained.plan.edits for parameter in edit.parameters)
        return self.trained.spec.bytes() + 4 * added

    def ask(self, rows: int, tokens: int) -> Any:
        """A function of no arguments that answers one batch and waits for it."""
        from common.exporting.runtime import OnnxEngine, run_graph
        from common.tasks.example import example_batch

        batch = example_batch(self.trained.spec, [tokens] * rows, f"latency|{rows}|{tokens}")
        if isinstance(self.engine, OnnxEngine):  # which answers what it does not score, too
            return partial(run_graph, self.engine.graph, batch)
        return partial(self.engine.eval_step, batch)

    def score(self, split: str, directory: str | None) -> float:
        """``training.metric`` of a split of the artifact's data. Raises InputError where there is none."""
        from common.training.evaluation import score

        return float(score(self.trained, self.engine, split, directory)[self.about["metric"]])


def _stored(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith("model.onnx")]
