"""Golden traces: ``manifest.json`` (who computed what, from which inputs, with which result in figures) and
``tensors.safetensors`` (the results).
 Inputs are not part of a trace: every host draws them from counters, or reads them from the user's files, and their
hashes must agree. Reading and comparing traces needs NumPy and safetensors only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import ANY, load_arrays, save_arrays, write_json
from common.parity.cases import Arrays, array_hash
from common.reading import check_shape, read_json

__all__ = ["SCHEMA", "TENSORS", "Trace", "is_trace", "read_trace", "statistics", "write_trace"]

SCHEMA = "twinlora-trace/1"
TENSORS = "tensors.safetensors"  #: in the folder of a trace
_SEPARATOR = "::"
_REMEDY = (
    "A trace is a folder with a manifest.json that `twinlora trace record` wrote; copy it again, or record it again."
)
_NUMBER = float | None
_TENSOR = {
    "name": str,
    "dtype": str,
    "shape": [int],
    "sha256": str,
    "stats": {"min": _NUMBER, "max": _NUMBER, "mean": _NUMBER, "l2": _NUMBER, "nan": int, "inf": int},
}
_CASE = {
    "id": str,
    "kind": str,
    "title": str,
    "definition?": str,
    "inputs": {...: str},
    "status": str,
    "message": str,
    "plain": dict,
    "tensors": [_TENSOR],
}
_PRODUCER = {
    "backend": str,
    "framework": str,
    "version": str,
    "device": str,
    "device_name": str | None,
    "dtype": str,
    "stats_only": bool,
    "packages": {"twinlora": str},
}
_MANIFEST = {
    "schema": str,
    "producer": _PRODUCER,
    "suite": {"name": str, "sha256": str, "options": dict},
    "cases": [_CASE],
}


@dataclass(frozen=True)
class Trace:
    """One trace as it lies in a folder. ``tensors`` is None where only figures were kept."""

    path: Path
    manifest: Mapping[str, Any]
    tensors: Arrays | None

    @property
    def cases(self) -> dict[str, Mapping[str, Any]]:
        """Manifest entries by case id, in the suite's order."""
        return {case["id"]: case for case in self.manifest["cases"]}

    @property
    def label(self) -> str:
        """Who made it: framework, device, dtype."""
        producer = self.manifest["producer"]
        return f"{producer['framework']} {producer['version']} on {producer['device_name'] or producer['device']}, {producer['dtype']}"

    def tensor(self, case: str, name: str) -> np.ndarray | None:
        """One array; None where the trace has none."""
        return (self.tensors or {}).get(case + _SEPARATOR + name)


def statistics(array: np.ndarray) -> dict[str, Any]:
    """Figures of one array, over its finite elements; enough to see a gross difference without the array."""
    values = np.asarray(array).astype(np.float64).ravel()
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        figures = (
            {"min": finite.min(), "max": finite.max(), "mean": finite.mean(), "l2": np.linalg.norm(finite)}
            if finite.size
            else {}
        )
    figures = {name: float(value) for name, value in figures.items() if np.isfinite(value)}
    counts = {"nan": int(np.isnan(values).sum()), "inf": int(np.isinf(values).sum())}
    return {name: figures.get(name) for name in ("min", "max", "mean", "l2")} | counts


def write_trace(
    directory: Path,
    producer: Mapping[str, Any],
    suite: Mapping[str, Any],
    entries: list[dict[str, Any]],
    tensors: Mapping[str, Arrays] | None,
) -> None:
    """Write a trace; the manifest last, so that a folder with one is whole.

    Args:
        tensors: case id to results; None writes the manifest alone.
    """
    (directory / "manifest.json").unlink(missing_ok=True)
    if tensors is not None:
        flat = {case + _SEPARATOR + name: array for case, arrays in tensors.items() for name, array in arrays.items()}
        save_arrays(directory / TENSORS, flat)
    write_json(
        directory / "manifest.json",
        {"schema": SCHEMA, "producer": dict(producer), "suite": dict(suite), "cases": entries},
    )


def read_trace(path: Path) -> Trace:
    """Read a trace folder, or a manifest alone, and check that tensors and manifest belong together.

    Raises:
        InputError: there is none, it is of another schema or form, or the tensors are not those of the manifest.
    """
    path = Path(path)
    file = path / "manifest.json" if path.is_dir() else path
    manifest = read_json(file, "the manifest of a trace", _REMEDY, {"schema": str})
    if manifest["schema"] != SCHEMA:
        raise InputError(
            f"{file} must have the schema {SCHEMA!r}; it has {manifest['schema']!r}. Record it again with this version of twinlora."
        )
    check_shape(manifest, _MANIFEST, f"{file}", "the manifest of a trace", _REMEDY)
    _check_names(manifest, file)
    stored = file.parent / TENSORS
    if not path.is_dir() or manifest["producer"]["stats_only"]:
        return Trace(path, manifest, None)
    if not stored.is_file():
        raise InputError(
            f"{stored} is missing, which its manifest.json says is there. Copy the folder again; or give the manifest.json "
            "alone, which is compared by figures."
        )
    tensors = load_arrays(stored, ANY)[0]
    _check(manifest, tensors, stored)
    return Trace(path, manifest, tensors)


def is_trace(path: Path) -> bool:
    """Whether a folder holds a trace, of any version."""
    file = Path(path) / "manifest.json"
    try:
        found = read_json(file, "the manifest of a trace", _REMEDY, {"schema": str}) if file.is_file() else {}
    except InputError:
        return False
    return str(found.get("schema")).partition("/")[0] == SCHEMA.partition("/")[0]


def _check_names(manifest: Mapping[str, Any], file: Path) -> None:
    """Every case is there once, and every tensor once in it: a second one would hide the first."""
    names: list[tuple[str, ...]] = [(case["id"],) for case in manifest["cases"]]
    names += [(case["id"], tensor["name"]) for case in manifest["cases"] for tensor in case["tensors"]]
    twice = next((" ".join(name) for name, count in Counter(names).items() if count > 1), None)
    if twice:
        raise InputError(
            f"{file}: every case and tensor stands once in a manifest; {twice!r} stands there again. {_REMEDY}"
        )


def _check(manifest: Mapping[str, Any], tensors: Arrays, stored: Path) -> None:
    declared = {
        case["id"] + _SEPARATOR + tensor["name"]: tensor["sha256"]
        for case in manifest["cases"]
        for tensor in case["tensors"]
    }
    forms = {
        case["id"] + _SEPARATOR + tensor["name"]: (tensor["dtype"], tuple(tensor["shape"]))
        for case in manifest["cases"]
        for tensor in case["tensors"]
    }
    wrong = sorted(declared.keys() ^ tensors.keys()) or [
        name
        for name, expected in declared.items()
        if array_hash(tensors[name]) != expected or forms[name] != (str(tensors[name].dtype), tensors[name].shape)
    ]
    if wrong:
        raise InputError(
            f"{stored} is not what its manifest.json says: {wrong[0]} is missing or changed. Copy the folder again, or record it again."
        )
