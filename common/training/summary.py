"""``summary.json``: what a run was and what came out of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from common.config import to_plain
from common.training import system
from common.training.assembly import Inputs
from common.training.rundir import RunDirectory
from common.training.runlog import durations, read_log

__all__ = ["of_machine", "of_run"]

_NO_METRIC = ("event", "step", "epoch", "split", "best", "seconds", "duration")


def of_run(
    run: RunDirectory, inputs: Inputs, sizes: dict[str, int], steps_per_epoch: int, best_step: int | None
) -> dict[str, Any]:
    """What configuration, log and saved files say. ``sizes`` counts the sequences of each split."""
    config, spec, labels = inputs.config, inputs.spec, inputs.data.label_names
    steps, evaluations = read_log(run.metrics, "step"), read_log(run.metrics, "evaluation")
    seconds, median = durations(steps, evaluations)
    scores = {
        entry["step"]: {key: value for key, value in entry.items() if key not in _NO_METRIC} for entry in evaluations
    }
    return {
        "name": config.name,
        "seed": config.seed,
        "model": {
            "source": config.model.source,
            "family": spec.family,
            "parameters": spec.parameter_count(),
            "fingerprint": spec.fingerprint,
            "head": spec.head_origin.plain(),
            **({"structural_edits": len(spec.edits)} if spec.edits else {}),
            **({"vectors": spec.vectors.plain()} if spec.vectors is not None else {}),
            **({"bytes": spec.bytes()} if spec.integers() else {}),
        },
        "method": config.adaptation.method,
        "data": {
            "name": config.data.name,
            "columns": inputs.data.splits["train"].column_names,
            "sizes": sizes,
            "labels": list(labels) if labels else None,
        },
        "steps": len(steps),
        "epochs": len(steps) / steps_per_epoch,
        "best_step": best_step,
        "first_loss": steps[0]["loss"] if steps else None,
        "final_loss": steps[-1]["loss"] if steps else None,
        "before": scores.get(0),
        "validation": scores.get(best_step),
        "trainable": inputs.plan.counts(),
        "adapter_bytes": sum(file.stat().st_size for file in run.best(inputs.plan.artifact).glob("*.safetensors")),
        "seconds": seconds,
        "seconds_per_step": median,
        "steps_per_second": _rates(len(steps), seconds),
        "settings": to_plain(config),
    }


def _rates(steps: int, seconds: Mapping[str, float]) -> dict[str, float | None]:
    """Steps done, not planned, over the seconds of the training steps alone and of everything."""
    return {part: steps / seconds[part] if seconds[part] else None for part in ("training", "total")}


def of_machine(backend_name: str, backend: ModuleType, device: str) -> dict[str, Any]:
    """Backend, device, memory, versions and hardware of this process."""
    on_device = backend.device.peak_memory(device)
    return {
        "backend": backend_name,
        "device": device,
        "peak_memory_bytes": on_device or system.peak_memory(),
        "peak_memory": {"device": on_device, "process": system.peak_memory()},
        "versions": system.versions(backend_name),
        "hardware": system.hardware(backend.device.describe(device)),
    }
