"""Merging and loading adapters of a large model, against the machine's memory bandwidth. Nothing of it needs a framework."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common.adaptation import initial_values, resolve
from common.adaptation.merge import merged_weight
from common.adaptation.peft_format import load_adapter, save_adapter
from common.adaptation.plan import Plan
from common.bench.rounds import median
from common.bench.settings import Settings, say
from common.config.schema import AdaptationConfig, TargetConfig
from common.models import ModelSpec, gpt2

__all__ = ["measure_merge"]

_XL = {"n_layer": 48, "n_embd": 1600, "n_head": 25}
_TARGETS = ("*.attn.c_attn", "*.attn.c_proj", "*.mlp.c_fc", "*.mlp.c_proj")
_COPY = 2**28  #: bytes of the copy that the bandwidth is measured by


def measure_merge(settings: Settings, layers: int | None = None) -> dict[str, Any]:
    """Merge every target of GPT-2 XL's shape, layer by layer, and load its adapter; ``layers`` instead of 48, for a trial.

    A merge moves the weight twice, read and written, and the adapter once; a load moves the adapter. The bandwidth is that of a NumPy copy, read and written.
    """
    spec, plan = _model(layers or _XL["n_layer"])
    adapter = {name: np.asarray(array, np.float32) + 0.01 for name, array in initial_values(plan, 0).items()}
    small = sum(array.nbytes for array in adapter.values())
    weights = 4 * sum(step.in_features * step.out_features for step in plan.steps)
    samples: dict[str, list[float]] = {"copy": [], "merge": [], "load": []}
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(Path(folder), plan, spec, adapter, {})
        for number in range(1, settings.rounds + 1):
            samples["copy"].append(_seconds(_copier()))
            samples["merge"].append(_merge(plan, adapter))
            samples["load"].append(_seconds(lambda: load_adapter(Path(folder), plan, spec)))
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
    about = {"layers": layers or _XL["n_layer"], "parameters": spec.parameter_count(), "matrices": len(plan.steps)}
    return {"model": about, "copy_bytes_per_second": median(bandwidth), "operations": operations}


def _model(layers: int) -> tuple[ModelSpec, Plan]:
    config = {**gpt2.DEFAULTS, **_XL, "n_layer": layers}
    spec = ModelSpec(
        "gpt2", "language-modeling", config, gpt2.modules(config, "language-modeling"), (), {}, "bench", "bench"
    )
    return spec, resolve(
        AdaptationConfig("lora", tuple(map(TargetConfig, _TARGETS)), (), 8, 16.0, 0.0, False, "none"), spec
    )


def _merge(plan: Plan, adapter: dict[str, np.ndarray]) -> float:
    """Seconds of the merges alone: weights of one module exist at a time, and drawing them does not count."""
    random, total = np.random.default_rng(0), 0.0
    for step in plan.steps:
        shape = (
            (step.in_features, step.out_features) if step.kind == "conv1d" else (step.out_features, step.in_features)
        )
        weight = random.standard_normal(shape, np.float32)
        total += _seconds(lambda weight=weight, step=step: merged_weight(step, weight, adapter))
    return total


def _copier() -> Callable[[], Any]:
    source, target = np.ones(_COPY // 4, np.float32), np.zeros(_COPY // 4, np.float32)
    return lambda: np.copyto(target, source)


def _seconds(function: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun
