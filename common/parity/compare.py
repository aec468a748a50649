"""Comparing two traces, case by case and tensor by tensor. What is missing, or was not computed, is never a pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from common.api_mapping.distribution import compare_distributions
from common.api_mapping.tolerance import Result
from common.errors import InputError
from common.parity.cases import draw_of
from common.parity.trace import Trace
from common.parity.verdict import (
    FAIL,
    NOT_COMPARABLE,
    PASS,
    ROUNDING,
    VERDICTS,
    Known,
    TensorResult,
    judge,
    judge_statistics,
)

__all__ = ["CaseResult", "Comparison", "compare"]

_EXACT = "float64"  #: dtype of a reference


@dataclass(frozen=True)
class CaseResult:
    """One case: the worst verdict of its tensors and why."""

    id: str
    kind: str
    title: str
    verdict: str
    message: str
    tensors: tuple[TensorResult, ...] = ()
    known: bool = False  #: not comparable for a reason that was known beforehand

    @property
    def level(self) -> str:
        """ops, layers, models, training or recorded."""
        return self.id.partition("/")[0]

    @property
    def group(self) -> str:
        """Everything but the last part of the id: the row of an operator, the kind of a layer."""
        return self.id.rpartition("/")[0]

    @property
    def worst(self) -> TensorResult | None:
        """The tensor that decided: of the worst verdict, that of the largest error."""
        return max(self.tensors, key=lambda t: (VERDICTS.index(t.verdict), t.test_error), default=None)


@dataclass(frozen=True)
class Comparison:
    """Two traces compared."""

    baseline: str
    test: str
    reference: str | None
    suite: str
    cases: tuple[CaseResult, ...]
    producers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Number of cases by verdict."""
        found = Counter(case.verdict for case in self.cases)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def first_failure(self) -> CaseResult | None:
        """In the suite's order: errors of single operators explain those of layers, and those of layers the models'."""
        return next((case for case in self.cases if case.verdict == FAIL), None)

    @property
    def unexplained(self) -> list[CaseResult]:
        """Cases that could not be compared although nothing said so beforehand."""
        return [case for case in self.cases if case.verdict == NOT_COMPARABLE and not case.known]

    @property
    def exit_code(self) -> int:
        """0: everything passes or is an explained rounding; 1: something fails; 2: something could not be compared."""
        return (
            1
            if self.first_failure
            else 2
            if self.unexplained or not any(case.verdict in (PASS, ROUNDING) for case in self.cases)
            else 0
        )

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        head = {
            "schema": "twinlora-comparison/1",
            "baseline": self.baseline,
            "test": self.test,
            "reference": self.reference,
            "suite": self.suite,
        }
        return head | {
            "producers": dict(self.producers),
            "counts": self.counts,
            "exit_code": self.exit_code,
            "cases": [asdict(case) for case in self.cases],
        }


def compare(baseline: Trace, test: Trace, reference: Trace | None = None, draws: Trace | None = None) -> Comparison:
    """Compare ``test`` with ``baseline``, by the errors of both against ``reference`` where one is given.

    Args:
        draws: some of the reference's cases, computed with rounding at random.

    Raises:
        InputError: the traces are of different suites, or were computed from different inputs, or the reference is none.
    """
    if reference is not None:
        _check_reference(reference)
    traces = [baseline, test] + ([reference] if reference else [])
    _check_suites(traces)
    known = [trace.cases for trace in traces]
    _check_inputs(traces, known)
    moved = _draws(draws, reference)
    order = list(dict.fromkeys([*known[0], *known[1]]))
    cases = tuple(
        _case(name, known[0].get(name), known[1].get(name), baseline, test, reference, moved) for name in order
    )
    producers = {"baseline": baseline.manifest["producer"], "test": test.manifest["producer"]}
    producers |= {"reference": reference.manifest["producer"]} if reference else {}
    return Comparison(
        baseline.label,
        test.label,
        reference.label if reference else None,
        baseline.manifest["suite"]["name"],
        cases,
        producers,
    )


def _draws(draws: Trace | None, reference: Trace | None) -> dict[str, list[dict[str, np.ndarray]]]:
    """Case id to the results of its draws by tensor.

    Raises:
        InputError: there is no reference to measure them by, or they are not of its cases and inputs, or hold no tensors.
    """
    if draws is None:
        return {}
    if reference is None:
        raise InputError(
            f"Draws are measured against the float64 reference; {draws.path} came without one. Add --reference."
        )
    cases, found = draws.cases, {}
    numbers = range(int(draws.manifest["suite"]["options"].get("draws") or 0))
    if draws.manifest["producer"]["dtype"] != "float64" or not numbers:
        raise InputError(f"{draws.path} holds no draws of a reference. Record them with --dtype float64 --draws N.")
    if draws.tensors is None:
        raise InputError(
            f"Draws must hold tensors; {draws.path} holds figures alone. Record them without --stats-only."
        )
    for name, entry in reference.cases.items():
        drawn = [cases[draw_of(name, number)] for number in numbers if draw_of(name, number) in cases]
        other = next((case for case in drawn if case["inputs"] != entry["inputs"]), None)
        if other is not None:
            raise InputError(
                f"Both traces must be computed from the same inputs; {other['id']} of {draws.path} has others than {name} of {reference.path}."
            )
        if any(case.get("definition") != entry.get("definition") for case in drawn):
            raise InputError(
                f"Draws must be of the reference's cases; {name} is defined otherwise in {draws.path}. Record them with the "
                f"experiment and the options of {reference.path}."
            )
        found[name] = [
            {
                tensor["name"]: array
                for tensor in case["tensors"]
                if (array := draws.tensor(case["id"], tensor["name"])) is not None
            }
            for case in drawn
        ]
    return found


def _check_reference(reference: Trace) -> None:
    """Errors against one of the two traces themselves, or against nothing, would let pass what is wrong."""
    dtype = reference.manifest["producer"]["dtype"]
    if dtype != _EXACT:
        raise InputError(
            f"--reference must be a trace in {_EXACT}; of {reference.path} it is {dtype}. Record one: twinlora trace "
            f"record SUITE --backend pytorch --dtype {_EXACT}."
        )
    if reference.tensors is None:
        raise InputError(
            f"--reference must hold tensors; {reference.path} holds figures alone. Record it without --stats-only."
        )


def _check_suites(traces: list[Trace]) -> None:
    first = traces[0].manifest["suite"]
    for other in traces[1:]:
        suite = other.manifest["suite"]
        if suite["sha256"] != first["sha256"]:
            said = "; ".join(
                f"{trace.path}: {trace.manifest['suite']['name']} {trace.manifest['suite']['options']}"
                for trace in (traces[0], other)
            )
            raise InputError(
                f"Traces of one suite can be compared; these are of different ones ({said}; twinlora "
                f"{traces[0].manifest['producer']['packages']['twinlora']} and {other.manifest['producer']['packages']['twinlora']}). "
                "Record both with the same version, suite and options."
            )


def _check_inputs(traces: list[Trace], known: list[dict[str, Mapping[str, Any]]]) -> None:
    for trace, cases in zip(traces[1:], known[1:], strict=True):
        for name in known[0].keys() & cases.keys():
            ours, theirs = cases[name]["inputs"], known[0][name]["inputs"]
            if ours != theirs:
                first = next(key for key in [*theirs, *ours] if ours.get(key) != theirs.get(key))
                raise InputError(
                    f"Both traces must be computed from the same inputs; {name} has another {first!r} in {trace.path} than in {traces[0].path}. "
                    "Use the same checkpoint, data, tokenizer and configuration on both hosts."
                )


def _case(
    name: str,
    first: Mapping[str, Any] | None,
    second: Mapping[str, Any] | None,
    baseline: Trace,
    test: Trace,
    reference: Trace | None,
    moved: Mapping[str, list[dict[str, np.ndarray]]],
) -> CaseResult:
    entry = first or second
    assert entry is not None  # the name is of one of the two
    both: list[Mapping[str, Any]] = []
    head = (name, entry["kind"], entry["title"])
    for side, found in (("baseline", first), ("test", second)):
        if found is None:
            return CaseResult(*head, NOT_COMPARABLE, f"missing in the {side}")
        if found["status"] != "ok":
            return CaseResult(
                *head,
                NOT_COMPARABLE,
                f"{found['status']} in the {side}: {found['message']}",
                known=found["status"] == "unsupported",
            )
        both.append(found)
    first, second = both
    if first["plain"] != second["plain"]:
        key = next(
            key for key in [*first["plain"], *second["plain"]] if first["plain"].get(key) != second["plain"].get(key)
        )
        return CaseResult(*head, FAIL, f"{key}: {second['plain'].get(key)}, baseline {first['plain'].get(key)}")
    of_first, of_second = ({tensor["name"]: tensor for tensor in found["tensors"]} for found in both)
    missing = [f"tensor {key} is missing in the {side}" for side, ours, theirs in
               (("test", of_second, of_first), ("baseline", of_first, of_second)) for key in theirs if key not in ours]  # fmt: skip
    if missing:
        return CaseResult(*head, FAIL, missing[0])
    tensors = _tensors(name, entry["kind"], of_first, of_second, baseline, test, reference, moved.get(name, []))
    worst = max((tensor.verdict for tensor in tensors), key=VERDICTS.index, default=PASS)
    decided = next((tensor for tensor in tensors if tensor.verdict == worst), None)
    return CaseResult(
        *head, worst, f"{decided.name}: {decided.message}" if decided and decided.message else "", tuple(tensors)
    )


def _tensors(
    name: str,
    kind: str,
    first: dict,
    second: dict,
    baseline: Trace,
    test: Trace,
    reference: Trace | None,
    moved: list[dict[str, np.ndarray]],
) -> list[TensorResult]:
    found = []
    norms: dict[str, float] = {}
    for key, figures in first.items():
        norms[key.partition("/")[0]] = max(norms.get(key.partition("/")[0], 0.0), figures["stats"]["l2"] or 0.0)
    for key in first:
        ours, theirs = test.tensor(name, key), baseline.tensor(name, key)
        if kind == "stochastic":
            found.append(_distribution(key, theirs, ours))
        elif ours is None or theirs is None:
            found.append(judge_statistics(key, kind, first[key], second[key]))
        else:
            found.append(
                judge(
                    key,
                    kind,
                    theirs,
                    ours,
                    reference.tensor(name, key) if reference else None,
                    norms[key.partition("/")[0]],
                    [draw[key] for draw in moved if key in draw],
                )
            )
    return found


def _distribution(name: str, baseline: np.ndarray | None, test: np.ndarray | None) -> TensorResult:
    if baseline is None or test is None:
        return TensorResult(name, NOT_COMPARABLE, "a distribution cannot be judged by figures alone")
    known: Known = {"shape": tuple(test.shape), "dtype": str(test.dtype)}
    if name.startswith("gradient/"):
        return TensorResult(name, PASS, "a gradient of a random result is not compared", **known)
    compared = compare_distributions(Result((test,), "tensor"), Result((baseline,), "tensor"))
    return TensorResult(
        name, FAIL if compared.problem else PASS, compared.problem or "", **known, test_error=compared.error
    )
