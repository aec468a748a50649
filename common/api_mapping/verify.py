"""Runs rows in both frameworks and says, case by case, how MindSpore's answer compares with torch's. Nothing that was
not run is a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from common.api_mapping.binding import chosen_target
from common.api_mapping.distribution import compare_distributions
from common.api_mapping.refusals import accepted
from common.api_mapping.row import Case, Row, arrays_of, draw_all
from common.api_mapping.tolerance import Comparison, Result, compare

__all__ = [
    "CALLS", "Failure", "Outcome", "Reference", "RowResult", "has_gradient", "reason", "references", "try_target", "verify"
]  # fmt: skip

CALLS = 3  #: of every case, with other inputs: some kernels are wrong from the second call of a graph on


@dataclass(frozen=True)
class Reference:
    """What torch gives for one case, in float32 and in float64."""

    expected: Result
    exact: Result


@dataclass(frozen=True)
class Failure:
    """A case in which a target does not do what torch does."""

    case: str
    message: str

    @property
    def refused(self) -> bool:
        """Whether an error was raised; otherwise the result is different."""
        return self.message.partition(":")[0].endswith(("Error", "Exception"))


@dataclass
class Outcome:
    """One target over all cases of a row."""

    target: str
    cases: int = 0
    refused: list[Failure] = field(default_factory=list)  #: calls that the row says MindSpore refuses, with the error
    failures: list[Failure] = field(default_factory=list)
    identical: bool = True
    error: float = 0.0
    torch_error: float = 0.0
    gradient_error: float = 0.0
    torch_gradient_error: float = 0.0
    worst: str = ""  #: the case of the largest error

    @property
    def passed(self) -> bool:
        """Whether at least one case was run and none failed."""
        return self.cases > len(self.refused) and not self.failures


@dataclass(frozen=True)
class RowResult:
    """The verdict on one row, for the target that the shim uses on this device."""

    name: str
    verdict: str  #: exact, rounding, adapted, stochastic, unsupported here or failed
    outcome: Outcome
    legacy: Outcome | None = None
    legacy_verdict: str = ""


def references(row: Row, torch_backend: ModuleType, calls: int = 1) -> dict[int, tuple[Reference, ...]]:
    """Torch's results of ``calls`` calls of every case, by the case's number."""
    function = torch_backend.resolve(row.name)
    found = {}
    for number, case in enumerate(row.cases):
        single, double = (torch_backend.prepare(function, row, case, double=double) for double in (False, True))
        drawn = [draw_all(row, case, call) for call in range(calls)]
        found[number] = tuple(
            Reference(single(arrays, call), double(arrays, call)) for call, arrays in enumerate(drawn)
        )
    return found


def has_gradient(row: Row, case: Case) -> bool:
    """Whether a gradient of the case is compared."""
    inputs = any(array.differentiable for array in arrays_of(case))
    return row.kind == "optimizer" or (case.gradient and (inputs or row.kind == "module"))


def try_target(
    row: Row,
    target: str,
    function: Callable[..., Any],
    backend: ModuleType,
    known: Mapping[int, tuple[Reference, ...]],
    mode: str = "pynative",
    repeat: int = 1,
) -> Outcome:
    """Run ``function`` over the row's cases, each ``repeat`` times, and compare; a case ends with its first failure.

    Inputs change from call to call as long as ``known`` has results for them, and then begin anew. In mode ``gradient``
    only the cases that have one are run.
    """
    outcome = Outcome(target)
    for number, case in enumerate(row.cases):
        if mode == "gradient" and not has_gradient(row, case):
            continue
        outcome.cases += 1
        limit, prepared = row.limit(case), None
        for call in range(1 if row.kind == "optimizer" else repeat):  # whose call is twenty steps
            turn = call % len(known[number])
            if turn == 0 and row.kind == "module":
                prepared = None  # its statistics begin anew with the inputs
            try:
                prepared = prepared or backend.prepare(function, row, case, mode=mode)
                found = prepared(draw_all(row, case, turn), turn)
            except Exception as error:  # whatever a kernel raises is the finding
                (outcome.refused if limit else outcome.failures).append(Failure(str(case), reason(error)))
                break
            if limit and mode == "pynative":
                outcome.failures.append(Failure(str(case), f"runs, although the row says: {limit}"))
                break
            compared = _compare(row, case, found, known[number][turn])
            _note(outcome, case, compared)
            if compared.problem:
                again = f" (call {call + 1})" if call else ""
                outcome.failures.append(Failure(str(case), compared.problem + again))
                break
    return outcome


def verify(
    rows: Iterable[Row],
    torch_backend: ModuleType,
    backend: ModuleType,
    chosen: Mapping[str, Any],
    mode: str = "pynative",
    repeat: int = 1,
) -> Iterator[RowResult]:
    """Verify rows one after the other.

    Args:
        torch_backend, backend: `pytorch_impl.mapping` and `mindspore_impl.mapping`.
        chosen: entries of the lock file by row name: ``target`` and ``passed``, the candidates that were right.
        mode: ``pynative``, ``graph`` (every call is compiled) or ``gradient`` (compiled together with its gradient).
        repeat: how often every call is made, the first `CALLS` times with other inputs. Some kernels are wrong from a
            later call on, or now and then.
    """
    for row in rows:
        known = references(row, torch_backend, min(repeat, CALLS))
        entry = chosen.get(row.name, {})
        target = chosen_target(row, chosen) or row.shim  # a shim that was rejected may have been repaired since
        if target is None:
            yield RowResult(row.name, "unsupported here", Outcome("none"), *_legacy(row, backend, known))
            continue
        try:
            function = backend.resolve(target)
        except (AttributeError, ImportError) as error:
            yield RowResult(
                row.name,
                "failed",
                Outcome(target, failures=[Failure("", reason(error))]),
                *_legacy(row, backend, known),
            )
            continue
        outcome = try_target(row, target, function, backend, known, mode, repeat)
        if mode == "gradient" and not outcome.cases:
            yield RowResult(row.name, "no gradient", outcome)
            continue
        if mode == "pynative":
            outcome.failures += [Failure(*answered) for answered in accepted(row, function, torch_backend, backend)]
        yield RowResult(row.name, _verdict(row, outcome, entry), outcome, *_legacy(row, backend, known))


def reason(error: Exception) -> str:
    """The sentence of an error that says something: MindSpore wraps it in rules and call stacks."""
    lines = [line.strip(" -\t") for line in str(error).splitlines()]
    told = next((line for line in lines if line), "")
    return f"{type(error).__name__}: {told[:160]}"


def _compare(row: Row, case: Case, found: Result, known: Reference) -> Comparison:
    return (
        compare_distributions(found, known.expected)
        if row.stochastic
        else compare(found, known.expected, known.exact, row.tolerance)
    )


def _note(outcome: Outcome, case: Case, compared: Comparison) -> None:
    if max(compared.error, compared.gradient_error) > max(outcome.error, outcome.gradient_error):
        outcome.worst = str(case)
    outcome.identical &= compared.identical
    for name in ("error", "torch_error", "gradient_error", "torch_gradient_error"):
        setattr(outcome, name, max(getattr(outcome, name), getattr(compared, name)))


def _verdict(row: Row, outcome: Outcome, entry: Mapping[str, Any]) -> str:
    if not outcome.passed:
        return "failed"
    if outcome.target.startswith("shim.") and not entry.get("passed"):
        return "adapted"
    if row.stochastic:
        return "stochastic"
    return "exact" if outcome.identical else "rounding"


def _legacy(row: Row, backend: ModuleType, known: Mapping[int, tuple[Reference, ...]]) -> tuple[Outcome | None, str]:
    """What the 2022 table's target does with the same calls."""
    if not row.legacy:
        return None, ""
    try:
        function = backend.resolve(row.legacy) if not row.legacy_call else backend.expression(row.legacy_call)
    except (AttributeError, ImportError) as error:
        return Outcome(row.legacy, failures=[Failure("", reason(error))]), "absent"
    outcome = try_target(row, row.legacy, function, backend, known)
    if outcome.passed:
        return outcome, "stochastic" if row.stochastic else "exact" if outcome.identical else "rounding"
    refused = [failure for failure in outcome.failures if failure.refused]
    if len(refused) < len(outcome.failures):
        return outcome, "wrong as documented"
    return outcome, "unsupported here" if len(refused) == outcome.cases else "refuses some calls"
