"""Chooses the target of every row on the device at hand by trying the candidates in order: the first that does all that
torch does is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from common.api_mapping.refusals import accepted
from common.api_mapping.row import Row
from common.api_mapping.verify import Outcome, reason, references, try_target

__all__ = ["probe"]


def probe(rows: Iterable[Row], torch_backend: ModuleType, backend: ModuleType) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each row's name and lock entry.

    An entry has ``target``, the chosen one or None; ``passed``, the framework's own candidates that were right in every
    case; and ``rejected``, candidate to first reason.
    """
    for row in rows:
        known = references(row, torch_backend)
        passed, rejected, own = [], {}, None
        for target in row.targets:
            why = _reason(row, target, torch_backend, backend, known)
            if why is not None:
                rejected[target] = why
            elif target == row.shim:
                own = target
            else:
                passed.append(target)
        right = [target for target in row.targets if target in passed or target == own]
        yield row.name, {"target": right[0] if right else None, "passed": passed, "rejected": rejected}


def _reason(row: Row, target: str, torch_backend: ModuleType, backend: ModuleType, known: Any) -> str | None:
    try:
        function = backend.resolve(target)
    except (AttributeError, ImportError) as error:
        return reason(error)
    outcome: Outcome = try_target(row, target, function, backend, known)
    if outcome.passed:
        answered = accepted(row, function, torch_backend, backend)
        return ": ".join(answered[0]) if answered else None
    if not outcome.failures:
        return "refused every call"
    failure = outcome.failures[0]
    return f"{failure.case}: {failure.message}" + (
        f" (and {len(outcome.failures) - 1} more of {outcome.cases} calls)" if len(outcome.failures) > 1 else ""
    )
