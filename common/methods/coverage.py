"""The coverage table: what each pattern matched, in which layers, and what that costs, before anything is built."""

from __future__ import annotations

import re

from common.config.schema import OptimizationConfig
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.optimizers import OPTIMIZERS

__all__ = ["coverage_rows", "coverage_table", "partial_coverage"]


def _layers(paths: tuple[str, ...]) -> list[int]:
    return sorted({int(found[0]) for path in paths if (found := re.findall(r"\.(\d+)\.", path))})


def _span(numbers: list[int]) -> str:
    if not numbers:
        return "-"
    consecutive = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]}-{numbers[-1]}" if consecutive and len(numbers) > 1 else ",".join(map(str, numbers))


def coverage_rows(plan: Plan) -> list[tuple[str, int, str, int | None, int]]:
    """One row a pattern: (pattern, modules, layers, rank where the method has one, parameters)."""
    edits = {edit.path: edit for edit in plan.edits}
    trained: dict[str, int] = {}
    for parameter in plan.unfrozen:
        path = parameter.name.rpartition(".")[0]
        trained[path] = trained.get(path, 0) + parameter.size
    sizes = trained | {path: sum(p.size for p in edit.parameters) for path, edit in edits.items()}
    rows = []
    for pattern, paths in plan.patterns:
        parameters = sum(sizes[path] for path in paths)
        rank = getattr(edits[paths[0]].arguments, "rank", None) if paths[0] in edits else None
        rows.append((pattern, len(paths), _span(_layers(paths)), rank, parameters))
    return rows


def partial_coverage(plan: Plan, spec: ModelSpec) -> list[str]:
    """Warnings for patterns that reach some layers and not others, with the missing layers' numbers."""
    every = set(_layers(tuple(module.path for module in spec.modules)))
    warnings = []
    for pattern, paths in plan.patterns:
        missing = sorted(every - set(_layers(paths)))
        if _layers(paths) and missing:
            warnings.append(
                f"{pattern} reaches {len(every) - len(missing)} of {len(every)} layers; not {_span(missing)}."
            )
    return warnings


def coverage_table(plan: Plan, spec: ModelSpec, optimization: OptimizationConfig | None = None) -> str:
    """The plan as text: patterns, trained parameters by component, their share of the model, bytes; with
    ``optimization``, those of the optimizer too."""
    counts, total = plan.counts(), spec.parameter_count()
    lines = []
    if plan.patterns:
        lines.append(f"{'pattern':<36} {'modules':>7} {'layers':>8} {'rank':>5} {'parameters':>12}")
        lines += [
            f"{pattern:<36} {modules:>7} {layers:>8} {rank or '-':>5} {size:>12,}"
            for pattern, modules, layers, rank, size in coverage_rows(plan)
        ]
        lines += [f"warning: {warning}" for warning in partial_coverage(plan, spec)]
        lines.append("")
    if spec.new_parameters:
        anew = dict.fromkeys(name.rpartition(".")[0] for name in spec.new_parameters)
        lines.append(f"not in the checkpoint, so initialised here: {', '.join(anew)}")
    lines += [f"{component:<12} {count:>12,}" for component, count in counts.items() if count]
    size = f"trained parameters take {plan.bytes():,} bytes in fp32"
    if optimization is not None:
        slots = OPTIMIZERS.get(optimization.optimizer).slots(optimization)
        size += f", with what {optimization.optimizer} keeps of them {(1 + len(slots)) * plan.bytes():,}"
    lines.append(f"of the model {total:>12,} ({100 * counts['total'] / total:.3f} %); {size}")
    return "\n".join(lines)
