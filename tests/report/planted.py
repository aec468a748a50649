"""A study directory as runs leave it, with numbers that are chosen."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.common.test_report_pages import SUMMARY

__all__ = ["LABELS", "plant"]

LABELS = ["sadness", "joy", "anger"]
_MODELS = {"FT": 109_486_854, "LoRA": 299_526}
TABLES: list[dict[str, Any]] = [
    {
        "title": "Table 2: validation & test",
        "rows": ["model", "optimization.learning_rate"],
        "columns": [
            {"name": "accuracy", "unit": "%", "field": "validation.accuracy", "scale": 100, "digits": 2},
            "steps",
            "trainable.total",
        ],
        "published": [
            {
                "match": {"model": "FT", "optimization.learning_rate": 1e-3},
                "values": {"validation.accuracy": 93.7},
                "reason": "the base model is smaller",
            }
        ],
        "reason": None,
    },
    {
        "title": "Best",
        "rows": ["model"],
        "columns": ["test.accuracy", "outcome.seconds"],
        "transpose": True,
        "select": {"by": "validation.accuracy", "per": ["model"], "highest": True},
    },
]


def plant(
    path: Path,
    seeds: int = 2,
    states: dict[int, tuple[str, str | None]] | None = None,
    backends: Sequence[str] = ("pytorch",),
) -> Path:
    """Two models, two learning rates, ``seeds`` seeds, each in every backend with equal results. Accuracy of FT is 0.9
    and of LoRA 0.88, and 0.01 less at the second learning rate; every seed adds 0.001.

    Args:
        states: status and error of points, by position, that have no result.
    """
    points = []
    for model in _MODELS:
        for rate in (1e-3, 1e-4):
            for seed, backend in itertools.product(range(seeds), backends):
                index = len(points)
                point = {
                    "id": f"{index:016x}", "label": {"model": model, "optimization.learning_rate": rate}, "seed": seed,
                    "backend": backend, "run": f"runs/{index:016x}/{backend}", "outcome": f"runs/{index:016x}.outcome.json",
                    "log": f"runs/{index:016x}.log", "config": f"configs/{index:016x}.yaml", "steps": 100,
                }  # fmt: skip
                points.append(point)
                _plant_run(path, point, (states or {}).get(index))
    plan = {
        "format": 1, "name": "planted", "definition": {}, "tables": TABLES, "search": None,
        "axes": {"model": list(_MODELS), "optimization.learning_rate": [1e-3, 1e-4]}, "points": points,
        "fingerprints": {"code": {}, "inputs": {}},
    }  # fmt: skip
    (path / "study.json").write_text(json.dumps(plan))
    return path


def _plant_run(path: Path, point: dict[str, Any], state: tuple[str, str | None] | None) -> None:
    run = path / point["run"]
    run.mkdir(parents=True)
    status, error = state or ("finished", None)
    outcome = {"status": status, "error": error, "seconds": 10.0, "peak_memory": 2**20, "attempts": 1, "exit_code": 0}
    if status != "missing":
        (path / point["outcome"]).write_text(json.dumps(outcome))
    if state:
        return
    model, rate = point["label"].values()
    accuracy = {"FT": 0.9, "LoRA": 0.88}[model] - (0.01 if rate == 1e-4 else 0.0) + 0.001 * point["seed"]
    settings = {"training": {"metric": "accuracy"}, "model": {"task": "sequence-classification"}}
    summary = copy.deepcopy(SUMMARY) | {
        "name": point["id"], "seed": point["seed"], "validation": {"accuracy": accuracy, "loss": 1 - accuracy},
        "test": {"accuracy": accuracy - 0.02, "loss": 0.4}, "before": {"accuracy": 0.2, "loss": 1.7},
        "trainable": {"lora_A": 1, "total": _MODELS[model]}, "settings": settings,
        "data": {"name": "files", "sizes": {"train": 9}, "labels": LABELS, "columns": ["text", "label"]},
    }  # fmt: skip
    (run / "summary.json").write_text(json.dumps(summary))
    events: list[dict[str, Any]] = [
        {"event": "step", "step": step, "loss": 2 / step, "learning_rate": rate, "duration": 0.1, "seconds": 0.1 * step}
        for step in range(1, 81)
    ]
    events += [
        {"event": "evaluation", "step": step, "split": "validation", "loss": 0.5, "accuracy": accuracy * step / 80}
        for step in (0, 40, 80)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    random = np.random.default_rng(0)
    target = random.integers(0, 3, 50)
    predicted = np.where(np.random.default_rng(ord(model[0])).random(50) < accuracy, target, (target + 1) % 3)
    kept = {
        "labels": LABELS, "target": target.tolist(), "predicted": predicted.tolist(), "confidence": [0.9] * 50,
        "texts": {str(index): f"i feel number {index} <today>" for index in range(20)},
    }  # fmt: skip
    (run / "predictions").mkdir()
    (run / "predictions/test.json").write_text(json.dumps(kept))
