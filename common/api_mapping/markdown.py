"""`docs/api_mapping.md`: the mapping as Markdown tables, one for each section of torch, in the language of the block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.api_mapping import peer_report, wording
from common.api_mapping.report import View
from common.api_mapping.translation import said
from common.language import ENGLISH, current, translated

__all__ = ["markdown"]


def markdown(found: Sequence[View], content: Mapping[str, Any], devices: Sequence[str]) -> str:
    """The page.

    Args:
        found: every row.
        content: the verification that is reported.
        devices: names of the lock file's entries.
    """
    parts = [
        f"# {wording.title()}",
        "[中文](api_mapping.zh-CN.md)" if current() == ENGLISH else "[English](api_mapping.md)",
        _escape(wording.facts(found, content)),
    ]
    if absent := wording.not_run(devices):
        parts.append(f"**{absent[0]}** {absent[1]}")
    parts.append(
        translated(
            "Written by `twinlora map docs` from [verification.json](../common/api_mapping/verification.json); "
            "[api_mapping.html](api_mapping.html) is the same with search and filters."
        )
    )
    parts.append(_table((translated("verdict"), translated("rows"), translated("meaning")), wording.verdicts(found)))
    if old := wording.old_table(found):
        parts.append(
            translated(
                "The targets of the 2022 table (for MindSpore 1.7), called with the same inputs: {counts}.", counts=old
            )
        )
    parts.append(_escape(wording.notation()))
    for section in dict.fromkeys(view.row.section for view in found):
        rows = [view for view in found if view.row.section == section]
        parts += [f"## {section}", _table(wording.columns(), map(_row, rows))]
    if samples := peer_report.read():
        parts += [
            f"## {peer_report.title()}",
            peer_report.sentence(samples),
            _table(tuple(map(said, peer_report.HEAD)), peer_report.lines(samples)),
            _table((translated("differences that are not wrong"), translated("why")), peer_report.known()),
        ]
    parts += [f"## {translated('Tolerances')}", _table(wording.limits(), wording.tolerances(found))]
    parts.append(wording.beyond())
    return "\n\n".join(parts) + "\n"


def _row(view: View) -> tuple[str, ...]:
    row, measured = view.row, view.measured
    chosen = wording.targets(view)
    target = "<br>".join(f"`{name}`" + (f" ({where})" if len(chosen) > 1 else "") for name, where in chosen)
    size, call = ("", "") if measured is None else _errors(view, measured)
    old, mint = wording.legacy(view), wording.official(view)
    told = [said(view.adaptation), said(row.note), *wording.refused(row), *wording.not_compiled(measured)]
    return (
        f"`{row.name}`",
        target,
        said(view.verdict),
        size,
        _escape(call),
        *(translated("{name}: {text}", name=f"`{one[0]}`", text=said(one[1])) if one[0] else "" for one in (old, mint)),
        translated("; ").join(_escape(part) for part in told if part),
    )


def _errors(view: View, measured: Mapping[str, Any]) -> tuple[str, str]:
    if view.row.stochastic or measured["verdict"] == "unsupported here":
        return "", ""
    return wording.both_errors(measured), measured["worst"]


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(str(cell).replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in line)} |"
        for line in lines
    )


def _escape(text: str) -> str:
    """Asterisks and angle brackets of case texts are no markup."""
    return text.replace("*", r"\*").replace("_", r"\_").replace("<", "&lt;")
