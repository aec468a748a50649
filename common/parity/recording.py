"""Making a trace: every case of a suite on one host, whatever it raises."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common import __version__
from common.api_mapping.verify import reason
from common.errors import InputError
from common.parity.cases import BUILT, Arrays, Case, Host, Suite, UnsupportedError, array_hash
from common.parity.parts import Parts
from common.parity.trace import statistics, write_trace
from common.training.system import hardware

__all__ = ["producer", "record"]


def record(
    suite: Suite,
    host: Host,
    directory: Path,
    stats_only: bool = False,
    say: Callable[[Case, dict[str, Any]], None] | None = None,
    code: str | None = None,
) -> list[dict[str, Any]]:
    """Compute every case and write the trace into ``directory``; returns the manifest's entries.

    A case that raises is part of the trace with the status ``error``, or ``unsupported`` where that is known
    beforehand.

    Args:
        code: hash of the code that computes. With it, what is done is kept while the others are computed, and a
            recording that was stopped goes on where the same code computes the same cases from the same inputs.

    Raises:
        InputError: the first case cannot be built; that of a later one is its error.
    """
    made = producer(host) | {"stats_only": stats_only}
    described = {"name": suite.name, "sha256": suite.digest(), "options": dict(suite.options)}
    identity = {"suite": described, "producer": made, "code": code}
    parts = None if code is None else Parts(directory, identity, whole=not stats_only)
    known = parts.read() if parts else {}
    entries: list[dict[str, Any]] = []
    tensors: dict[str, Arrays] = {}
    try:
        for case in suite.cases:
            entry, arrays = _one(case, host, known.get(case.id), first=not entries)
            if parts and case.id not in known:
                parts.add(entry, arrays)
            entries.append(entry)
            tensors[case.id] = arrays
            if case.kind in BUILT:
                host.parity.release()
            if say:
                say(case, entry)
    finally:
        if parts:
            parts.write()
    write_trace(directory, made, described, entries, None if stats_only else tensors)
    if parts:
        parts.remove()
    return entries


def producer(host: Host) -> dict[str, Any]:
    """Who makes the trace."""
    [(framework, version)] = host.package.device.versions().items()
    packages = {"python": platform.python_version(), "numpy": np.__version__, "twinlora": __version__}
    accelerator = host.package.device.describe(host.device)
    found = {
        "backend": host.backend,
        "framework": framework,
        "version": version,
        "device": host.device,
        "device_name": accelerator,
    }
    mode = {None: "default", True: "compiled", False: "interpreted"}[host.compile]
    return found | {
        "dtype": host.dtype,
        "mode": mode,
        "plain": host.plain,
        "flags": host.parity.flags(),
        "packages": packages,
        "hardware": hardware(accelerator),
    }


def _one(
    case: Case, host: Host, known: tuple[dict[str, Any], Arrays] | None, first: bool
) -> tuple[dict[str, Any], Arrays]:
    entry: dict[str, Any] = {
        "id": case.id,
        "kind": case.kind,
        "title": case.title,
        "definition": case.digest(),
        "inputs": {},
        "status": "ok",
        "message": "",
        "plain": {},
        "tensors": [],
    }
    try:
        inputs = case.inputs()
    except InputError as error:
        if first:
            raise
        return entry | {"status": "error", "message": reason(error)}, {}
    entry["inputs"] = {name: array_hash(array) for name, array in inputs.items()}
    if known is not None and known[0]["inputs"] == entry["inputs"]:
        return known
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a framework's advice about single calls
            arrays, entry["plain"] = case.compute(host, inputs)
    except UnsupportedError as error:
        return entry | {"status": "unsupported", "message": str(error)}, {}
    except Exception as error:  # whatever a kernel raises is the finding
        expected = bool(case.limits) and host.backend == "mindspore"
        return entry | {
            "status": "unsupported" if expected else "error",
            "message": f"{case.limits}: {reason(error)}" if expected else reason(error),
        }, {}
    arrays = {name: _storable(np.asarray(array, order="C")) for name, array in arrays.items()}
    for name, array in arrays.items():
        figures = {
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "sha256": array_hash(array),
            "stats": statistics(array),
        }
        entry["tensors"].append({"name": name, **figures})
    return entry, arrays


def _storable(array: np.ndarray) -> np.ndarray:
    """Complex numbers as pairs, which safetensors has a place for."""
    if array.dtype.kind != "c":
        return array
    return np.stack([array.real, array.imag], axis=-1)
