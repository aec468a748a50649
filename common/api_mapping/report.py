"""What is known of the rows without running them: the registry, the lock files and the last published verification,
brought together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.api_mapping import lock
from common.api_mapping.row import Row
from common.api_mapping.rows import registry
from common.api_mapping.tolerance import CLASSES, GRADIENT
from common.errors import InputError
from common.reading import check_shape, read_json
from common.resources import package_folder

__all__ = [
    "DOCUMENT",
    "NOT_VERIFIED",
    "SCHEMA",
    "VERDICTS",
    "View",
    "counts",
    "describe",
    "errors",
    "lines",
    "read_document",
    "summary",
    "views",
]

DOCUMENT = package_folder("common.api_mapping") / "verification.json"  #: what `twinlora map verify --json` wrote last
SCHEMA = 1
_NUMBER = float | None
_FAILURES = [{"case": str, "message": str}]
_ROW = {
    "verdict": str,
    "target": str | None,
    "cases": int,
    "digest": str,
    "error": _NUMBER,
    "torch_error": _NUMBER,
    "gradient_error": _NUMBER,
    "torch_gradient_error": _NUMBER,
    "worst": str,
    "failures": _FAILURES,
    "candidates": {...: str},
    "legacy?": (None, {"target": str, "verdict": str, "failed?": str, "first?": str}),
    "compiled?": (None, {"verdict": str, "failures?": _FAILURES}),
}
_DOCUMENT = {
    "schema": int,
    "versions": {"mindspore": str, ...: str},
    "device": str,
    "date": str,
    "registry": str,
    "mode": str,
    "rows": {...: _ROW},
}
NOT_VERIFIED = "not verified"
VERDICTS = {
    "exact": "equal to torch to the bit in every call, gradients included",
    "rounding": "within the tolerance of the row's class, or no further from float64 than twice torch's own error",
    "adapted": "as above, by an adapter: no single call of MindSpore does all that torch does",
    "stochastic": "random: arrangement, dtype and distribution agree",
    "unsupported here": "neither MindSpore nor an adapter does it on this device",
    "failed": "a call differs from torch",
    NOT_VERIFIED: "not run since the row was written or changed",
}


@dataclass(frozen=True)
class View:
    """One row and what was found out about it."""

    row: Row
    targets: Mapping[str, str | None]  #: name of a lock entry (device and version) to the target chosen there
    rejected: Mapping[str, Mapping[str, str]]  #: the same to candidate and why it was rejected
    passed: Mapping[str, Sequence[str]]  #: the same to the candidates that were right
    measured: Mapping[str, Any] | None  #: the row's part of the last verification, unless the row has changed since

    @property
    def verdict(self) -> str:
        """Of the last verification."""
        return self.measured["verdict"] if self.measured else NOT_VERIFIED

    @property
    def target(self) -> str | None:
        """What the last verification ran, or the first lock entry's choice."""
        return self.measured["target"] if self.measured else next(iter(self.targets.values()), None)

    @property
    def legacy_verdict(self) -> str:
        """Of the 2022 table's target; empty where it has none or was not run."""
        return (
            (self.measured or {}).get("legacy", {"verdict": ""})["verdict"]
            if self.row.legacy and (self.measured or {}).get("legacy")
            else ""
        )

    @property
    def adaptation(self) -> str:
        """What the adapter changes, where one is used."""
        return self.row.adaptation if self.row.shim and self.row.shim in (self.target, *self.targets.values()) else ""

    @property
    def official(self) -> tuple[str, str]:
        """The first `mint` candidate and what came of it: ``passed``, why it was rejected, or empty where it was not
        tried."""
        name = next((target for target in self.row.targets if target.startswith("mint.")), "")
        return name, self.said(name) if name else ""

    def said(self, candidate: str) -> str:
        """What came of a candidate in the last verification's lock, or in the first lock entry that tells."""
        if self.measured and candidate == self.measured["target"]:  # run since the lock file was written
            first = next(
                (f"{failure['case']}: {failure['message']}" for failure in self.measured["failures"]), "passed"
            )
            return "passed" if self.measured["verdict"] != "failed" else first
        if self.measured and candidate in self.measured["candidates"]:
            return self.measured["candidates"][candidate]
        for name in self.targets:
            if candidate in self.rejected[name]:
                return self.rejected[name][candidate]
            if candidate in self.passed[name] or candidate == self.targets[name]:
                return "passed"
        return ""


def read_document(path: Path | None = None) -> dict[str, Any] | None:
    """A verification, by default the published one; None where there is none.

    Raises:
        InputError: the file is not one that `twinlora map verify --json` wrote.
    """
    path = path or DOCUMENT
    if not path.is_file():
        return None
    remedy = f"Write it with: twinlora map verify --json {path}"
    content = read_json(path, "a verification", remedy, {"schema": int})
    if content["schema"] != SCHEMA:
        raise InputError(
            f"{path} must be a verification of schema {SCHEMA}; found schema {content['schema']}. {remedy}"
        )
    check_shape(content, _DOCUMENT, f"{path}", "a verification", remedy)
    return content


def views(
    rows: Iterable[Row] | None = None, content: Mapping[str, Any] | None = None, locks: Sequence[Path] | None = None
) -> list[View]:
    """Bring together what is known of ``rows``, by default of all.

    Args:
        content: a verification; by default the published one.
        locks: lock files; by default the user's and the shipped one.
    """
    measured = (read_document() if content is None else content) or {"rows": {}}
    entries = lock.entries(*(locks if locks is not None else (lock.user_file(), lock.SHIPPED)))
    found = []
    for row in registry().values() if rows is None else rows:
        chosen = {name: entry[row.name] for name, entry in entries.items() if row.name in entry}
        part = measured["rows"].get(row.name)
        found.append(
            View(
                row,
                {name: one["target"] for name, one in chosen.items()},
                {name: one["rejected"] for name, one in chosen.items()},
                {name: one["passed"] for name, one in chosen.items()},
                part if part and part["digest"] == row.digest() else None,
            )
        )
    return found


def counts(entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """How often each verdict occurs, in the order of ``VERDICTS``, in the document's rows or in their legacy parts."""
    found = Counter(entry["verdict"] for entry in entries)
    ordered = [name for name in VERDICTS if name in found] + sorted(set(found) - set(VERDICTS))
    return [(name, found[name]) for name in ordered]


def summary(entries: Iterable[Mapping[str, Any]]) -> str:
    """`counts` as text."""
    return ", ".join(f"{count} {name}" for name, count in counts(entries)) or "none"


def errors(entry: Mapping[str, Any], gradient: bool = False) -> str:
    """The largest error beside torch's own: ``1.2e-07 (torch 9.4e-08)``."""
    ours, torchs = (
        (entry["gradient_error"], entry["torch_gradient_error"]) if gradient else (entry["error"], entry["torch_error"])
    )
    return f"{_short(ours)} (torch {_short(torchs)})"


def lines(found: Sequence[View]) -> list[str]:
    """An aligned table of rows: name, verdict, target, the 2022 target and its verdict."""
    cells = [
        (
            view.row.name,
            view.verdict,
            view.target or "none",
            *((view.row.legacy, view.legacy_verdict) if view.row.legacy else ("", "")),
        )
        for view in found
    ]
    head = ("torch", "verdict", "MindSpore", "2022 table", "its verdict")
    widths = [max(len(row[column]) for row in [head, *cells]) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *cells)
    ]


def describe(view: View, content: Mapping[str, Any] | None = None) -> str:
    """Everything known of a row, as text."""
    row, measured = view.row, view.measured
    parts: list[tuple[str, list[str]]] = [
        (
            "target",
            [f"{where}: {target or 'none'}" for where, target in view.targets.items()] or ["not probed anywhere yet"],
        )
    ]
    parts.append(("candidates", [f"{target}  {_candidate(view, target)}" for target in row.targets]))
    parts += [(title, [text]) for title, text in (("adapter", view.adaptation), ("note", row.note)) if text]
    limit, slope = CLASSES[row.tolerance], GRADIENT[row.tolerance]
    if row.stochastic:
        parts.append(
            (
                "tolerance",
                [
                    "distributions are compared: samples may not be further apart than two of one distribution are once in 370,000 times"
                ],
            )
        )
    else:
        size = (
            "equal to the bit"
            if limit.relative == 0
            else f"within {limit.relative:g} of the {'element' if limit.scale == 'element' else 'largest element'}"
        )
        told = [f"{row.tolerance}: values {size} ({limit.why})"]
        if row.kind != "optimizer" and any(case.gradient for case in row.cases):
            told.append(f"gradients within {slope.relative:g} of the largest element ({slope.why})")
        parts.append(("tolerance", told))
    parts.append(("verdict", _measured(view, content)))
    if measured and measured["failures"]:
        parts.append(("failures", [f"{failure['case']}: {failure['message']}" for failure in measured["failures"]]))
    if row.limits:
        parts.append(("refused", [f"calls with {part!r}: {why}" for part, why in row.limits.items()]))
    if row.refusals:
        parts.append(("refused by both", [str(case).strip() for case in row.refusals]))
    if row.legacy:
        old = (measured or {}).get("legacy") or {}
        tried = [row.legacy_call.replace("lambda ", "", 1).replace(": ", " -> ", 1)] if row.legacy_call else []
        told = [
            f"{row.legacy}: {old.get('verdict') or NOT_VERIFIED}{', ' + old['failed'] if old.get('failed') else ''}"
        ]
        parts.append(("2022 table", told + tried + ([old["first"]] if old.get("first") else [])))
    parts.append((f"{len(row.cases)} calls", [str(case).strip() or "()" for case in row.cases]))
    title = f"{row.name}  ({row.kind}{', changes its first argument' if row.in_place else ''})"
    width = max(len(name) for name, _ in parts)
    body = [
        f"{name if first else '':<{width}}  {text}"
        for name, texts in parts
        for first, text in zip([True] + [False] * len(texts), texts, strict=False)
    ]
    return "\n".join([title, *body])


def _candidate(view: View, target: str) -> str:
    said = view.said(target)
    if target == view.target:
        return "chosen" + (", the adapter" if target.startswith("shim.") else "")
    if not said:
        return "the adapter" if target.startswith("shim.") else "not tried"
    return "right in every call" if said == "passed" else f"rejected: {said}"


def _measured(view: View, content: Mapping[str, Any] | None) -> list[str]:
    measured = view.measured
    if measured is None:
        return [f"{NOT_VERIFIED}; run: twinlora map verify {view.row.name}"]
    where = (
        f" on {content['device']}, {content['date']}, mindspore {content['versions']['mindspore']}" if content else ""
    )
    told = [f"{measured['verdict']}, {measured['cases']} calls{where}"]
    if view.row.stochastic:
        return [*told, f"distributions at most {_short(measured['error'])} apart"]
    told += [f"largest error {errors(measured)}, of gradients {errors(measured, gradient=True)}"]
    return told + ([f"in the call {measured['worst']}"] if measured["worst"] else [])


def _short(value: float | None) -> str:
    return "infinite" if value is None else "0" if value == 0 else f"{value:.1e}"
