"""Runs the samples of torch's own test databases through the mapping: what is equal, refused, different, or
accepted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from common.api_mapping.row import Case, Row
from common.api_mapping.tolerance import Result, compare
from common.api_mapping.verify import CALLS, has_gradient, reason

__all__ = ["KINDS", "KNOWN", "Finding", "Known", "Sample", "run", "summary"]

KINDS = {
    "equal": "as torch, within the row's tolerance; or an error where torch raises one",
    "refused": "an error where torch computes",
    "known": "another result that is not wrong, for a reason in `KNOWN`",
    "different": "another result, without an error",
    "accepted": "a result where torch raises an error",
    "not compared": "torch raises an error in this harness, or the sample is random",
}


@dataclass(frozen=True)
class Known:
    """Differences that are not wrong."""

    rows: tuple[str, ...]  #: names without ``torch.`` and ``Tensor.``
    text: str  #: a regular expression that the call and the difference fit
    why: str
    dim: int | None = None  #: which argument is the axis, along which the last output must be places of the same values


ANY_OF_EQUALS = "which of equal values is found, neither library says"
CANCELS = "the terms of the gradient cancel: what is left in both libraries is their rounding"
KNOWN = (
    Known(("topk", "kthvalue"), r"int64 .*: output 1: at", ANY_OF_EQUALS, 2),
    Known(("sort", "argsort"), r"bool .*: output [01]: at", ANY_OF_EQUALS, 1),
    Known(("nn.functional.normalize",), r"(p=0.5, dim=0|0-d sample).*: gradient 0", CANCELS),
    Known(
        ("nn.functional.cosine_similarity", "cosine_similarity"), r"float64 .*: gradient .* torch \S+e-1[5-9]", CANCELS
    ),
    Known(("nn.functional.layer_norm", "layer_norm"), r"^(float64 )?(1|1x2) sample, \([12]\).*: gradient 0", CANCELS),
    Known(("nn.functional.scaled_dot_product_attention",), r"float64 .*: gradient [01]: .* torch \S+e-1\d ", CANCELS),
    Known(
        ("digamma", "special.digamma", "special.psi"),
        r"float64 .*: gradient 0",
        "torch's derivative of digamma is accurate to 1e-9 in float64, the adapter's to 1e-15",
    ),
    Known(
        ("polygamma", "special.polygamma"),
        r"float64 ",
        "torch's trigamma is accurate to 1e-9 in float64, the adapter's to 1e-15",
    ),
    Known(
        ("logcumsumexp",),
        r"float64 .*: gradient 0",
        "torch's gradient is a logarithm of sums whose exponential is off by 6e-12 in float64, the adapter's by 3e-16",
    ),
    Known(
        ("special.ndtr",),
        r"int64 .*: output 0",
        "torch computes whole numbers in float32, in its float64 reference too, the adapter in float64",
    ),
    Known(
        ("nn.functional.hardsigmoid",),
        r"float64 .*: gradient 0",
        "torch's gradient takes 1/6 in float32, the adapter's does not",
    ),
)


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
    torch_backend: ModuleType,
    backend: ModuleType,
    function: Callable[[Row], Callable[..., Any] | None],
    mode: str = "pynative",
    before: Callable[[], None] = lambda: None,
) -> Iterator[Finding]:
    """Yield a finding for every sample. Rows of one target share what became of the same call, such as a function's and
    its method's.

    Args:
        torch_backend, backend: `pytorch_impl.mapping` and `mindspore_impl.mapping`.
        function: what a row is bound to in MindSpore on this device; None where nothing is.
        mode: ``pynative``, ``graph`` or ``gradient``; in the compiled ones every sample is called several times, and in
            the last those without a gradient are left out.
        before: called before each call of ``function``, for example to fill free memory.
    """
    targets: dict[str, Any] = {}
    known: list[tuple[Sample, Any, str, str]] = []  # what became of the last label's samples
    for sample in samples:
        if mode == "gradient" and (sample.refused or not has_gradient(sample.row, sample.case)):
            continue
        if sample.row.name not in targets:
            targets[sample.row.name] = function(sample.row)
        target = targets[sample.row.name]
        known = [found for found in known if found[0].label == sample.label]
        again = next((found[2:] for found in known if found[1] is target and _same(found[0], sample)), None)
        kind, message = again or _run(sample, torch_backend, backend, target, mode, before)
        known.append((sample, target, kind, message))
        yield Finding(sample.row.name, kind, sample.label, str(sample.case)[:200], message)


def _same(first: Sample, second: Sample) -> bool:
    """Whether two rows of one target, such as a function and the method, are called alike."""
    one, other = first.row, second.row
    return (
        (one.in_place, one.tolerance, one.stochastic, one.kind)
        == (other.in_place, other.tolerance, other.stochastic, other.kind)
        and str(first.case) == str(second.case)
        and all(np.array_equal(a, b) for a, b in zip(first.arrays, second.arrays, strict=True))
    )


def _run(
    sample: Sample,
    torch_backend: ModuleType,
    backend: ModuleType,
    function: Callable[..., Any] | None,
    mode: str,
    before: Callable[[], None],
) -> tuple[str, str]:
    row, case, arrays = sample.row, sample.case, sample.arrays
    if function is None:
        return "refused", "no target on this device"
    known, expected = torch_backend.resolve(row.name), None
    try:
        expected = torch_backend.run(known, row, case, arrays)
        exact = torch_backend.run(known, row, case, arrays, double=True)
    except Exception as error:  # whatever is raised is the finding
        raised = reason(error)
    if expected is not None and sample.refused:
        return "not compared", "torch raises no error in this form"
    try:
        prepared = backend.prepare(function, row, case, mode=mode)
        found = []
        for _ in range(1 if mode == "pynative" or row.kind == "optimizer" else CALLS):
            before()
            found.append(prepared(arrays, 0))
    except Exception as error:
        return ("refused", reason(error)) if expected is not None else ("equal", "")
    if expected is None:
        return "accepted", raised
    if row.stochastic or case.keywords.get("dropout_p"):
        return "not compared", "random"
    for result in found[:1] if row.kind == "module" and case.training else found:  # whose statistics move
        try:
            compared = compare(result, expected, exact, row.tolerance)
        except Exception as error:
            return "not compared", reason(error)
        if compared.problem:
            listed = _listed(sample, result, expected, f"{case}: {compared.problem}")
            return ("known", f"{listed}: {compared.problem}") if listed else ("different", compared.problem)
    return "equal", ""


def _listed(sample: Sample, result: Result, expected: Result, text: str) -> str:
    """Why a difference is not wrong, if that is listed."""
    name = sample.row.name.removeprefix("torch.").removeprefix("Tensor.")
    for known in KNOWN:
        if name in known.rows and re.search(known.text, text):
            return known.why if known.dim is None or _same_values(sample, result, expected, known.dim) else ""
    return ""


def _same_values(sample: Sample, result: Result, expected: Result, position: int) -> bool:
    """Whether the places that are the last output, each of them once, hold the values that torch's places hold."""
    input, places, torchs = sample.arrays[0], result.outputs[-1], expected.outputs[-1]
    given = sample.case.arguments
    dim = sample.case.keywords.get("dim", given[position] if len(given) > position else -1)
    if places.ndim < input.ndim:
        places, torchs = np.expand_dims(places, dim), np.expand_dims(torchs, dim)
    once = (np.diff(np.sort(places, axis=dim), axis=dim) > 0).all()
    ours, theirs = (np.take_along_axis(input, each, dim) for each in (places, torchs))
    return bool(once and np.array_equal(ours, theirs))


def summary(findings: Sequence[Finding]) -> dict[str, Any]:
    """Counts in all and by row, and all findings that are neither equal nor left out."""
    rows: dict[str, Counter[str]] = {}
    for finding in findings:
        rows.setdefault(finding.row, Counter())[finding.kind] += 1
    total = Counter(finding.kind for finding in findings)
    return {
        "total": {kind: total[kind] for kind in KINDS},
        "rows": {name: dict(counted) for name, counted in sorted(rows.items())},
        "findings": [
            vars(finding) for finding in findings if finding.kind in ("refused", "known", "different", "accepted")
        ],
    }
