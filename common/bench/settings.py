"""What the measurements share: their request, the versions and hardware they were made on, and the file they are
written to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common.backend import available
from common.bench.machine import processor
from common.bench.workers import Worker
from common.errors import InputError
from common.files import write_json
from common.training import system

__all__ = ["Settings", "begin", "machine", "save", "say"]

_PACKAGES = ("torch", "mindspore", "numpy", "transformers", "peft", "loralib", "mindpet", "accelerate", "onnxruntime")


@dataclass(frozen=True)
class Settings:
    """What every measurement is given."""

    threads: int  #: of every subject
    rounds: int
    device: str | None = None
    model: str | None = None
    data_dir: str | None = None
    set: tuple[str, ...] = ()
    output: Path | None = None

    def request(self, case: str, **more: Any) -> dict[str, Any]:
        """What a worker is told of a case."""
        given = {
            "case": case,
            "device": self.device,
            "model": self.model,
            "data_dir": self.data_dir,
            "set": list(self.set),
        }
        return given | {key: value for key, value in more.items() if value is not None}


def begin(name: str, settings: Settings) -> Worker:
    """Start a subject's process. Raises InputError where its framework is not installed."""
    from common.bench.subjects import framework_of, plain_name

    name = plain_name(name)
    backend = framework_of(name)
    if not available()[backend]:
        raise InputError(
            f"Subject {name} needs the framework of the {backend} backend, which is not installed. Install it, or leave the subject out."
        )
    return Worker(name, settings.threads)


def machine(settings: Settings, load: dict[str, Any] | None = None) -> dict[str, Any]:
    """The hardware, its processor in detail, the ``load`` that `common.bench.machine.Watch` saw, and libraries that were
    loaded before all others."""
    preloaded = [
        Path(library).name for library in os.environ.get("LD_PRELOAD", "").replace(" ", ":").split(":") if library
    ]  # another allocator, say
    return system.hardware(_accelerator()) | {
        "threads": settings.threads,
        "processor": processor(),
        "load_average": os.getloadavg(),
        **({} if load is None else {"load": load}),
        "preloaded": preloaded,
    }


def save(
    kind: str,
    settings: Settings,
    results: dict[str, Any],
    names: Sequence[str] = (),
    hardware: dict[str, Any] | None = None,
) -> Path:
    """Write a measurement with everything it depends on; returns the file.

    Args:
        hardware: what `machine` says; None asks it.
    """
    path = settings.output or Path("runs/bench") / f"{kind}.json"
    device = {"device": settings.device or "default", "model": settings.model, "set": list(settings.set)}
    versions = {
        package: metadata.version(package) for package in _PACKAGES if find_spec(package) and _distributed(package)
    }
    content = {
        "schema": 1,
        "kind": kind,
        "settings": device | {"threads": settings.threads, "rounds": settings.rounds, "subjects": list(names)},
    }
    write_json(
        path,
        content
        | {"versions": {"python": sys.version.split()[0]} | versions, "hardware": hardware or machine(settings)}
        | results,
    )
    return path


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _distributed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _accelerator() -> str | None:
    """Name of the accelerator as its driver gives it; the parent imports no framework."""
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        return next(
            (line.partition(":")[2].strip() for line in file.read_text().splitlines() if line.startswith("Model")), None
        )
    return "Ascend" if list(Path("/dev").glob("davinci[0-9]*")) else None
