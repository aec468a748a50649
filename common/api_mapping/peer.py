"""Runs the samples of torch's own test databases through the mapping: what is equal, refused, different, or accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from common.api_mapping.row import Case, Row
from common.api_mapping.tolerance import compare
from common.api_mapping.verify import CALLS, has_gradient, reason

__all__ = ["KINDS", "Finding", "Sample", "run", "summary"]

KINDS = {
    "equal": "as torch, within the row's tolerance; or an error where torch raises one",
    "refused": "an error where torch computes",
    "different": "another result, without an error",
    "accepted": "a result where torch raises an error",
    "not compared": "torch raises an error in this harness, or the sample is random",
}


@dataclass(frozen=True)
class Sample:
    """One call of a test database. Its case describes the arrays; their values stand apart."""

    row: Row
    case: Case
    arrays: tuple[np.ndarray, ...]
    label: str  #: number, dtype and variant
    refused: str = ""  #: torch's error, of an input that it must refuse


@dataclass(frozen=True)
class Finding:
    """What became of a sample."""

    row: str
    kind: str  #: a key of `KINDS`
    sample: str
    call: str
    message: str = ""


def run(
    samples: Iterable[Sample],
    torch_half: ModuleType,
    half: ModuleType,
    function: Callable[[Row], Callable[..., Any] | None],
    mode: str = "pynative",
) -> Iterator[Finding]:
    """Yield a finding for every sample.

    Args:
        torch_half, half: `pytorch_impl.mapping` and `mindspore_impl.mapping`.
        function: what a row is bound to in MindSpore on this device; None where nothing is.
        mode: ``pynative``, ``graph`` or ``gradient``; in the compiled ones every sample is called several times, and in
            the last those without a gradient are left out.
    """
    for sample in samples:
        if mode == "gradient" and (sample.refused or not has_gradient(sample.row, sample.case)):
            continue
        kind, message = _run(sample, torch_half, half, function(sample.row), mode)
        yield Finding(sample.row.name, kind, sample.label, str(sample.case)[:200], message)


def _run(
    sample: Sample, torch_half: ModuleType, half: ModuleType, function: Callable[..., Any] | None, mode: str
) -> tuple[str, str]:
    row, case, arrays = sample.row, sample.case, sample.arrays
    if function is None:
        return "refused", "no target on this device"
    known, expected = torch_half.resolve(row.name), None
    try:
        expected = torch_half.run(known, row, case, arrays)
        exact = torch_half.run(known, row, case, arrays, double=True)
    except Exception as error:  # whatever is raised is the finding
        raised = reason(error)
    if expected is not None and sample.refused:
        return "not compared", "torch raises no error in this form"
    try:
        prepared = half.prepare(function, row, case, mode=mode)
        found = [prepared(arrays, 0) for _ in range(1 if mode == "pynative" or row.kind == "optimizer" else CALLS)]
    except Exception as error:
        return ("refused", reason(error)) if expected is not None else ("equal", "")
    if expected is None:
        return "accepted", raised
    if row.stochastic:
        return "not compared", "random"
    for result in found[:1] if row.kind == "module" and case.training else found:  # whose statistics move
        try:
            compared = compare(result, expected, exact, row.tolerance)
        except Exception as error:
            return "not compared", reason(error)
        if compared.problem:
            return "different", compared.problem
    return "equal", ""


def summary(findings: Sequence[Finding]) -> dict[str, Any]:
    """Counts in all and by row, and all findings that are neither equal nor left out."""
    rows: dict[str, Counter[str]] = {}
    for finding in findings:
        rows.setdefault(finding.row, Counter())[finding.kind] += 1
    total = Counter(finding.kind for finding in findings)
    return {
        "total": {kind: total[kind] for kind in KINDS},
        "rows": {name: dict(counted) for name, counted in sorted(rows.items())},
        "findings": [vars(finding) for finding in findings if finding.kind in ("refused", "different", "accepted")],
    }
