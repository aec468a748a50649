"""On what a measurement is made: the processor, and how much of it other processes took meanwhile."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import psutil

__all__ = ["BOUND", "Watch", "describe", "processor"]

BOUND = 0.15  #: cores that others may take, on average, beside the cores that the subjects leave free
_FLAGS = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
#: Instruction sets that decide which kernels a library takes, as Linux names them.
_FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "sve", "bf16", "i8mm")  # fmt: skip


def processor() -> dict[str, Any]:
    """Features, caches in bytes, and the quota of the control group in cores; what the system does not say is left
    out."""
    found: dict[str, Any] = {}
    flags = _words(_FLAGS)
    if flags:
        found["features"] = [name for name in _FEATURES if name in flags]
    caches = {}
    for folder in sorted(_CACHES.glob("index*")):
        level, kind, size = (_text(folder / name) for name in ("level", "type", "size"))
        if size and kind != "Instruction":
            caches[f"L{level}"] = _bytes(size)
    if caches:
        found["caches"] = caches
    limit, _, period = _text(_QUOTA).partition(" ")
    if limit.isdigit() and period.isdigit():
        found["quota_cores"] = int(limit) / int(period)
    return found


class Watch:
    """Watches the machine while a measurement runs. A context manager; the processes that it measures must have ended
    before it does, since their time is known then.

    What counts for others is the time in which a core did something else, whatever it was: other processes, the
    kernel, and the time that a hypervisor took away.
    """

    def __enter__(self) -> Watch:
        self._begun, self._busy, self._own = time.perf_counter(), _busy(), _own()
        return self

    def __exit__(self, *failure: object) -> None:
        self._seconds = time.perf_counter() - self._begun
        own, busy = _own() - self._own, _busy() - self._busy
        self.others = max(0.0, (busy - own) / self._seconds)  #: cores, on average
        self.own = own / self._seconds  #: cores, on average

    def result(self, threads: int) -> dict[str, Any]:
        """What was seen, and whether ratios hold, given that every subject computes with ``threads``."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        allowed = max(0, cores - threads) + BOUND
        return {
            "seconds": self._seconds,
            "cores": cores,
            "own_cores": self.own,
            "others_cores": self.others,
            "allowed_cores": allowed,
            "quiet": self.others <= allowed,
        }


def describe(hardware: dict[str, Any]) -> list[str]:
    """The lines that `twinlora bench` prints under its results.

    Args:
        hardware: that of the file, with ``processor`` and ``load``.
    """
    about, load = hardware["processor"], hardware["load"]
    caches = ", ".join(f"{name} {size // 1024:,} KiB" for name, size in about.get("caches", {}).items())
    features = " ".join(about.get("features", ()))
    lines = ["; ".join(filter(None, (f"{hardware['cpu']}, {hardware['cores']} cores", caches, features)))]
    taken = f"other processes took {load['others_cores']:.2f} of {load['cores']} cores during the run"
    if load["quiet"]:
        return [*lines, f"{taken[0].upper()}{taken[1:]}."]
    return [
        *lines,
        f"NOT A MEASUREMENT: {taken}, and at most {load['allowed_cores']:.2f} may be. The ratios above say how the subjects "
        "fare on a busy machine; measure again when it is idle, or give them fewer --threads.",
    ]


def _busy() -> float:
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def _own() -> float:
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)


def _words(path: Path) -> set[str]:
    for line in _text(path).splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _bytes(size: str) -> int:
    return int(size[:-1]) * {"K": 2**10, "M": 2**20}[size[-1]] if size[-1:] in ("K", "M") else int(size)
