"""`docs/api_mapping.md`: the mapping as Markdown tables, one for each section of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.api_mapping import peer_report, wording
from common.api_mapping.report import View, errors

__all__ = ["markdown"]


def markdown(found: Sequence[View], content: Mapping[str, Any], devices: Sequence[str]) -> str:
    """The page.

    Args:
        found: every row.
        content: the verification that is reported.
        devices: names of the lock file's entries.
    """
    parts = [f"# {wording.TITLE}", _escape(wording.facts(found, content))]
    if absent := wording.not_run(devices):
        parts.append(f"**{absent.partition('. ')[0]}.** {absent.partition('. ')[2]}")
    parts.append(
        "Written by `twinlora map docs` from [verification.json](../common/api_mapping/verification.json); "
        "[api_mapping.html](api_mapping.html) is the same with search and filters."
    )
    parts.append(_table(("verdict", "rows", "meaning"), wording.verdicts(found)))
    if old := wording.old_table(found):
        parts.append(f"The targets of the 2022 table, called with the same inputs: {old}.")
    for section in dict.fromkeys(view.row.section for view in found):
        rows = [view for view in found if view.row.section == section]
        parts += [f"## {section}", _table(wording.COLUMNS, map(_row, rows))]
    if samples := peer_report.read():
        parts += [
            "## Samples of torch's own tests",
            peer_report.sentence(samples),
            _table(peer_report.HEAD, peer_report.lines(samples)),
        ]
        parts.append(_table(("differences that are not wrong", "why"), peer_report.known()))
    parts += ["## Tolerances", _table(("class", "values", "gradients", "why"), wording.tolerances(found))]
    parts.append("An error beyond the limit still passes while it is at most twice torch's own.")
    return "\n\n".join(parts) + "\n"


def _row(view: View) -> tuple[str, ...]:
    row, measured = view.row, view.measured
    chosen = wording.targets(view)
    target = "<br>".join(f"`{name}`" + (f" on {where}" if len(chosen) > 1 else "") for name, where in chosen)
    size, call = ("", "") if measured is None else _errors(view, measured)
    old, mint = wording.legacy(view), wording.official(view)
    told = [view.adaptation, row.note, *(f"refused with {part}: {why}" for part, why in row.limits.items())]
    told += wording.not_compiled(measured)
    return (
        f"`{row.name}`",
        target,
        view.verdict,
        size,
        _escape(call),
        f"`{old[0]}`: {old[1]}" if old[0] else "",
        f"`{mint[0]}`: {mint[1]}" if mint[0] else "",
        "; ".join(_escape(part) for part in told if part),
    )


def _errors(view: View, measured: Mapping[str, Any]) -> tuple[str, str]:
    if view.row.stochastic or measured["verdict"] == "unsupported here":
        return "", ""
    gradient = (
        f"<br>gradient {errors(measured, gradient=True)}"
        if measured["gradient_error"] != 0 or measured["torch_gradient_error"]
        else ""
    )
    return errors(measured) + gradient, measured["worst"]


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(str(cell).replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in line)} |"
        for line in lines
    )


def _escape(text: str) -> str:
    """Asterisks and angle brackets of case texts are no markup."""
    return text.replace("*", r"\*").replace("_", r"\_").replace("<", "&lt;")
