"""Runs rows on the device at hand for the command line: verification, probing, and the document that a verification
leaves behind."""

from __future__ import annotations

import datetime
import importlib
import math
import platform
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from common import backend as backends
from common.api_mapping import lock
from common.api_mapping.probe import probe
from common.api_mapping.row import Row
from common.api_mapping.rows import digest, find, registry
from common.api_mapping.verify import Failure, Outcome, RowResult, reason, verify
from common.errors import InputError

__all__ = [
    "MODES",
    "Backends",
    "document",
    "entry",
    "open_backends",
    "probe_rows",
    "selected",
    "unprobed",
    "verify_rows",
]

#: What `verify_rows` runs in each mode: PyNative, the call compiled, the call compiled together with its gradient.
MODES = {
    "pynative": ("pynative",),
    "graph": ("graph",),
    "gradient": ("gradient",),
    "both": ("pynative", "graph"),
    "all": ("pynative", "graph", "gradient"),
}


@dataclass(frozen=True)
class Backends:
    """Both backends' `mapping` modules, and where MindSpore computes."""

    torch: ModuleType
    mindspore: ModuleType
    device: str
    version: str

    @property
    def locked(self) -> dict[str, Any]:
        """The lock file's rows for the device."""
        return lock.load(self.device, self.version)


def open_backends(device: str | None) -> Backends:
    """Import both frameworks and select MindSpore's device.

    Raises:
        InputError: one of them is not installed, or the device is not here.
    """
    absent = [name for name, there in backends.available().items() if not there]
    if absent:
        packages = " and ".join(backends.BACKENDS[name] for name in absent)
        raise InputError(
            f"Rows are run in both frameworks, PyTorch being the reference; not installed here: {packages}. "
            f"Install with: pip install 'twinlora[{','.join(absent)}]'. `twinlora map list`, show, export and scan need neither."
        )
    backend = backends.load("mindspore")  # first: it makes settings that both read
    selected = backend.device.select(device)
    other = backends.load("pytorch")
    version = backend.device.versions()["mindspore"]
    torch, mindspore = (importlib.import_module(f"{package.__name__}.mapping") for package in (other, backend))
    return Backends(torch, mindspore, selected, version)


def selected(names: Sequence[str]) -> list[Row]:
    """The rows of these names, in the registry's order; all for none. A name is one that `find` knows, or a pattern
    such as ``torch.nn.*``.

    Raises:
        InputError: a name or pattern fits no row.
    """
    from fnmatch import fnmatchcase

    if not names:
        return list(registry().values())
    wanted: set[str] = set()
    for name in names:
        if not any(sign in name for sign in "*?["):
            wanted.add(find(name).name)
            continue
        matched = {row for row in registry() if fnmatchcase(row, name) or fnmatchcase(row, f"torch.{name}")}
        if not matched:
            raise InputError(f"The pattern {name!r} fits no row of the mapping. `twinlora map list` shows all names.")
        wanted |= matched
    return [row for name, row in registry().items() if name in wanted]


def verify_rows(
    rows: Iterable[Row], backends: Backends, mode: str, repeat: int = 1
) -> Iterator[tuple[Row, dict[str, RowResult]]]:
    """Yield each row with its results by the modes that ``mode`` stands for, a key of `MODES`, in their order.

    A row that fails in a compiled mode alone is tried in PyNative as well, so that it is known whether it works in one
    mode only; that result comes last then.
    """
    locked = backends.locked
    for row in rows:
        results = {part: _verified(row, backends, locked, part, repeat) for part in MODES[mode]}
        if "pynative" not in results and any(result.verdict == "failed" for result in results.values()):
            results["pynative"] = _verified(row, backends, locked, "pynative", repeat)
        yield row, results


def _verified(row: Row, backends: Backends, locked: dict[str, Any], mode: str, repeat: int) -> RowResult:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice about single calls
            [result] = verify([row], backends.torch, backends.mindspore, locked, mode, repeat)
    except (
        Exception
    ) as error:  # torch refuses a call, or the results cannot be compared: that row fails, and the others are still run
        return RowResult(
            row.name,
            "failed",
            Outcome(row.shim or "none", len(row.cases), failures=[Failure("", f"cannot be compared: {reason(error)}")]),
        )
    return result


def probe_rows(rows: Iterable[Row], backends: Backends, path: Path, say: Callable[[str, dict[str, Any]], None]) -> int:
    """Probe rows and write each to the lock file at once, so that what was found stays if a kernel takes the process
    down.

    Functions come before modules, of which some shims call what was found for a function.

    Returns:
        The number of rows.
    """
    count = 0
    ordered = sorted(rows, key=lambda row: row.kind == "module")
    with lock.reading(path):
        for name, found in probe(ordered, backends.torch, backends.mindspore):
            lock.save(path, backends.device, backends.version, {name: found})
            say(name, found)
            count += 1
    return count


def document(backends: Backends, mode: str, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The whole of a verification as plain data."""
    versions = {"python": platform.python_version()} | {
        package: metadata.version(package) for package in ("numpy", "torch", "mindspore")
    }
    head = {"schema": 1, "versions": versions, "device": backends.device, "date": datetime.date.today().isoformat()}
    return head | {"registry": digest(), "mode": mode, "rows": entries}


def entry(row: Row, results: dict[str, RowResult], locked: dict[str, Any]) -> dict[str, Any]:
    """One row of the document: the first mode's result, and what the compiled ones beside it found."""
    first, *others = results
    result = results[first]
    outcome, chosen = result.outcome, locked.get(row.name, {})
    candidates = {name: said for name in row.targets if (said := _said(name, chosen))}
    found: dict[str, Any] = {
        "verdict": result.verdict,
        "target": outcome.target,
        "cases": outcome.cases,
        "digest": row.digest(),
    }
    found["refused"] = _plain(outcome.refused)
    found |= {
        name: _number(getattr(outcome, name))
        for name in ("error", "torch_error", "gradient_error", "torch_gradient_error")
    }
    found |= {
        "worst": outcome.worst or ("()" if max(outcome.error, outcome.gradient_error) > 0 else ""),
        "failures": _plain(outcome.failures),
        "candidates": candidates,
        "legacy": _legacy(result),
    }
    for name in others:
        other = results[name]
        found[_PARTS[name]] = {"verdict": other.verdict, "failures": _plain(other.outcome.failures)}
    return found


#: Name of a further mode's result in an entry.
_PARTS = {"pynative": "pynative", "graph": "compiled", "gradient": "compiled_gradient"}


def unprobed(rows: Iterable[Row], locked: dict[str, Any]) -> list[str]:
    """Names of the rows that were not probed with the candidates they have now."""
    return [
        row.name
        for row in rows
        if any(_said(target, locked.get(row.name, {})) is None for target in row.targets if target != row.shim)
    ]


def _said(target: str, chosen: dict[str, Any]) -> str | None:
    """What the lock says of a candidate: ``passed``, why it was rejected, or None where it does not say."""
    if target in chosen.get("rejected", {}):
        return chosen["rejected"][target]
    return "passed" if target in chosen.get("passed", ()) or target == chosen.get("target") else None


def _legacy(result: RowResult) -> dict[str, Any] | None:
    if result.legacy is None:
        return None
    outcome: Outcome = result.legacy
    first = f"{outcome.failures[0].case}: {outcome.failures[0].message}".strip(": ") if outcome.failures else ""
    failed = f"{len(outcome.failures)} of {outcome.cases} calls"
    return {
        "target": outcome.target,
        "verdict": result.legacy_verdict,
        "failed": failed if outcome.failures else "",
        "first": first,
    }


def _plain(failures: Sequence[Failure]) -> list[dict[str, str]]:
    return [{"case": failure.case, "message": failure.message} for failure in failures]


def _number(value: float) -> float | None:
    """JSON has no infinity."""
    return float(f"{value:.3g}") if math.isfinite(value) else None
