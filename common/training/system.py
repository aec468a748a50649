"""On what a run was made: versions and hardware, without importing a framework."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import common
from common.backend import BACKENDS

__all__ = ["asked_threads", "hardware", "package_version", "peak_memory", "versions"]


def versions(backend: str) -> dict[str, str]:
    """Versions of Python and of the packages that decide a run's numbers."""
    packages = ("numpy", "transformers", "tokenizers", "datasets", "safetensors")
    framework = BACKENDS[backend]
    found = {
        "python": platform.python_version(),
        "twinlora": common.__version__,
        "framework": f"{framework} {package_version(framework)}",
    }
    return found | {package: package_version(package) for package in packages}


def package_version(module: str) -> str:
    """Of what brought a module, which may have another name, as builds of every night have; "unknown" where nothing says
    so, such as a folder."""
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(module, ())
    return metadata.version(names[0]) if names else "unknown"


def asked_threads() -> int | None:
    """The number in OMP_NUM_THREADS, the first of a list, which has one for each level of nesting; None where it is none,
    which OpenMP ignores too."""
    named = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(named) or None if named.isascii() and named.isdigit() else None


def hardware(accelerator: str | None) -> dict[str, Any]:
    """CPU name, usable cores, threads (OMP_NUM_THREADS, or the cores), memory and the accelerator's name (None on a
    CPU)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_name(),
        "cores": cores,
        "threads": asked_threads() or cores,
        "memory_bytes": memory,
        "accelerator": accelerator,
    }


def peak_memory() -> int:
    """Largest resident set of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
