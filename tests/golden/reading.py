"""What is recorded of a run directory, and of the machine it was made on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["array_digest", "fingerprint", "read_run"]

_OF_TIME = ("seconds", "duration")  #: of an event
#: ``settings`` repeat the input, with paths; the others depend on time, machine or installed versions.
_LEFT_OUT = (
    "settings", "seconds", "seconds_per_step", "steps_per_second", "peak_memory_bytes", "peak_memory", "versions", "hardware",
)  # fmt: skip
_PACKAGES = ("torch", "mindspore", "numpy", "transformers", "tokenizers", "datasets", "safetensors")


def read_run(run: Path) -> dict[str, Any]:
    """Events, summary and digests of every array and file that the run wrote.

    ``files`` holds an entry for each of adapter, model and checkpoint that exists: the number of arrays and the sha256
    over (name, dtype, shape, bytes) in name order; for an adapter also that of the file and of the parsed
    configuration.
    """
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    files: dict[str, Any] = {"checkpoint": array_digest(run / "checkpoint/state.safetensors")}
    if (run / "model").is_dir():
        files["model"] = array_digest(run / "model/model.safetensors")
    if (run / "adapter").is_dir():
        weights = run / "adapter/adapter_model.safetensors"
        config = json.loads((run / "adapter/adapter_config.json").read_text(encoding="utf-8"))
        files["adapter"] = array_digest(weights) | {
            "file": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "config": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
        }
    return {
        "events": [{key: value for key, value in event.items() if key not in _OF_TIME} for event in events],
        "summary": {key: value for key, value in summary.items() if key not in _LEFT_OUT},
        "files": files,
    }


def array_digest(path: Path) -> dict[str, Any]:
    """Number of arrays of a safetensors file and the sha256 over name, dtype, shape and bytes in name order."""
    from safetensors.numpy import load_file

    arrays = load_file(path)
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(repr((name, array.dtype.str, array.shape)).encode() + array.tobytes())
    return {"count": len(arrays), "arrays": digest.hexdigest()}


def fingerprint() -> dict[str, Any]:
    """What may decide the last bits of a float: processor, cores, threads and versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    vectors = [flag for flag in entries.get("flags", "").split() if flag.startswith(("avx", "amx", "fma", "f16c"))]
    return {
        "cpu": entries.get("model name", platform.processor() or platform.machine()),
        "cpu_family_model": f"{entries.get('cpu family')}/{entries.get('model')}",
        "vector_instructions": " ".join(sorted(vectors)),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
    } | {package: _version(package) for package in _PACKAGES}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
