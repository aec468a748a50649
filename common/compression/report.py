"""What a transform did to every module, and in all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.models.specs import ModelSpec

__all__ = ["ModuleReport", "Report", "as_json", "as_table"]


@dataclass(frozen=True)
class ModuleReport:
    """One module."""

    path: str
    before: int  #: its parameters
    after: int
    error: float  #: relative, in the Frobenius norm: ||W - W'|| / ||W||
    norm: float  #: ||W||
    details: Mapping[str, Any] = field(default_factory=dict)  #: what the transform decided, such as a rank
    note: str = ""  #: why it was left as it is, for example


@dataclass(frozen=True)
class Report:
    """Every module that the targets name, and the sizes of the whole model."""

    modules: tuple[ModuleReport, ...]
    before: int  #: parameters of the model
    after: int
    findings: Mapping[str, Any] = field(default_factory=dict)  #: what a search saw, ready for JSON

    @classmethod
    def of(
        cls,
        modules: tuple[ModuleReport, ...],
        before: ModelSpec,
        after: ModelSpec,
        findings: Mapping[str, Any] | None = None,
    ) -> Report:
        """The report on two states of a model."""
        return cls(modules, before.parameter_count(), after.parameter_count(), findings or {})

    @property
    def error(self) -> float:
        """Relative Frobenius error of all modules together."""
        norm = math.fsum(module.norm**2 for module in self.modules)
        lost = math.fsum((module.error * module.norm) ** 2 for module in self.modules)
        return math.sqrt(lost / norm) if norm else 0.0


def as_json(report: Report) -> dict[str, Any]:
    """Ready for JSON."""
    modules = [
        {
            "path": module.path,
            **module.details,
            "parameters_before": module.before,
            "parameters_after": module.after,
            "relative_error": module.error,
            **({"note": module.note} if module.note else {}),
        }
        for module in report.modules
    ]
    totals = {"parameters_before": report.before, "parameters_after": report.after, "relative_error": report.error}
    return {"modules": modules, "model": totals, **({"findings": report.findings} if report.findings else {})}


def as_table(report: Report) -> str:
    """One line for each module, then the modules together, then the model."""
    names = list(dict.fromkeys(name for module in report.modules for name in module.details))
    width = max(len("modules together"), *(len(module.path) for module in report.modules))

    def line(path: str, details: Mapping[str, Any], before: Any, after: Any, error: str, note: str = "") -> str:
        shown = "".join(f"{details.get(name, '-')!s:>8}" for name in names)
        return f"{path:<{width}}{shown} {before:>13} {after:>13} {error:>10}  {note}".rstrip()

    lines = [line("module", {name: name for name in names}, "before", "after", "error")]
    lines += [
        line(m.path, m.details, f"{m.before:,}", f"{m.after:,}", f"{m.error:.3e}", m.note) for m in report.modules
    ]
    before, after = (sum(getattr(module, when) for module in report.modules) for when in ("before", "after"))
    lines.append(line("modules together", {}, f"{before:,}", f"{after:,}", f"{report.error:.3e}"))
    share = 100 * report.after / report.before
    lines.append(line("model", {}, f"{report.before:,}", f"{report.after:,}", "", f"{share:.1f} % of the parameters"))
    lines += [f"{name}: {_brief(found)}" for name, found in report.findings.items() if not isinstance(found, list)]
    return "\n".join(lines)


def _brief(found: Any) -> str:
    """A finding on one line."""
    if isinstance(found, Mapping):
        return ", ".join(f"{name} {_brief(value)}" for name, value in found.items())
    return f"{found:.4f}" if isinstance(found, float) else str(found)
