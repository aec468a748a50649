"""Merging and loading adapters of a large model, against the machine's memory bandwidth. Nothing of it needs a
framework."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.artifacts import storage
from common.bench.rounds import median
from common.bench.settings import Settings, say
from common.config import load_config
from common.edits import Edit
from common.methods import METHODS
from common.methods.merge import merged_weight
from common.methods.method import Method
from common.methods.plan import Plan
from common.models.loading import outline
from common.models.specs import ModelSpec

__all__ = ["measure_merge"]

_XL = {"n_layer": 48, "n_embd": 1600, "n_head": 25}
_COPY = 2**28  #: bytes of the copy that the bandwidth is measured by


def measure_merge(settings: Settings, layers: int | None = None) -> dict[str, Any]:
    """Merge every target of GPT-2 XL's shape, layer by layer, and load its adapter; ``layers`` instead of 48, for a
    trial.

    A merge moves the weight twice, read and written, and the adapter once; a load moves the adapter. The bandwidth is
    that of a NumPy copy, read and written.
    """
    spec, plan = _model(layers or _XL["n_layer"])
    adapter = {name: np.asarray(array, np.float32) + 0.01 for name, array in plan.initial_values(0).items()}
    small = sum(array.nbytes for array in adapter.values())
    weights = 4 * sum(edit.module.in_features * edit.module.out_features for edit in plan.edits)
    kept = storage(plan.artifact)
    samples: dict[str, list[float]] = {"copy": [], "merge": [], "load": []}
    with tempfile.TemporaryDirectory() as folder:
        kept.save(Path(folder), plan, spec, adapter, {})
        for number in range(1, settings.rounds + 1):
            samples["copy"].append(_seconds(_copier()))
            samples["merge"].append(_merge(plan, adapter))
            samples["load"].append(_seconds(lambda: kept.load(Path(folder), plan, spec)))
            say(
                f"round {number} of {settings.rounds}: "
                + ", ".join(f"{name} {values[-1]:.3f}" for name, values in samples.items())
            )
    bandwidth = [2 * _COPY / seconds for seconds in samples["copy"]]
    operations = {}
    for name, moved in (("merge", 2 * weights + small), ("load", small)):
        fractions = [moved / seconds / best for seconds, best in zip(samples[name], bandwidth, strict=True)]
        operations[name] = {
            "seconds": median(samples[name]),
            "samples": samples[name],
            "bytes": moved,
            "fraction": median(fractions),
        }
    about = {"layers": layers or _XL["n_layer"], "parameters": spec.parameter_count(), "matrices": len(plan.edits)}
    return {"model": about, "copy_bytes_per_second": median(bandwidth), "operations": operations}


def _model(layers: int) -> tuple[ModelSpec, Plan]:
    config = load_config("gpt2_wikitext2", ["adaptation={method: lora, rank: 8, alpha: 16, targets: [all-linear]}"])
    spec = outline(str(config.model.config["model_type"]), config.model.task, {**_XL, "n_layer": layers})
    return spec, METHODS.get(config.adaptation.method).plan(config.adaptation, spec)


def _merge(plan: Plan, adapter: dict[str, np.ndarray]) -> float:
    """Seconds of the merges alone: weights of one module exist at a time, and making them does not count."""
    random, total, method = np.random.default_rng(0), 0.0, METHODS.get(plan.method)
    for edit in plan.edits:
        shape = edit.module.kind.weight(edit.module)
        assert shape is not None  # every target is a matrix
        weight = random.standard_normal(shape, np.float32)
        total += _seconds(partial(_merged, weight, method, edit, adapter))
    return total


def _merged(weight: np.ndarray, method: Method, edit: Edit, adapter: dict[str, np.ndarray]) -> None:
    delta = method.delta(edit, adapter)
    assert delta is not None  # LoRA has one
    merged_weight(weight, delta)


def _copier() -> Callable[[], Any]:
    source, target = np.ones(_COPY // 4, np.float32), np.zeros(_COPY // 4, np.float32)
    return lambda: np.copyto(target, source)


def _seconds(function: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun
