"""A report as text for a terminal of 80 columns, as JSON, as a Markdown table for a pull request, or as SARIF."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence

from common.api_mapping.scan.findings import CATEGORIES, Finding, Report, tally
from common.api_mapping.scan.sarif import sarif
from common.terminal import printable

__all__ = ["FORMATS", "render"]

FORMATS = ("text", "json", "sarif", "markdown")
WIDTH = 80


def render(report: Report, format: str = "text") -> str:
    """The report in one of ``FORMATS``."""
    if format == "text":
        return _text(report)
    if format == "markdown":
        return _markdown(report)
    return json.dumps(report.to_json() if format == "json" else sarif(report), indent=2, ensure_ascii=False) + "\n"


def _text(report: Report) -> str:
    parts = [_file(file, found) for file, found in report.by_file().items() if found]
    parts.append(_summary(report))
    if imports := sorted({line for found in report.findings if found.counted for line in found.imports}):
        parts.append("\n".join(["Imports of what is written above:", *(f"  {line}" for line in imports)]))
    if report.problems:
        parts.append("\n".join(["Not read:", *(_wrapped(text, "  ") for text in report.problems)]))
    if told := [*_explained(report), *report.notes]:
        parts.append("\n".join(_wrapped(text, "") for text in told))
    return printable("\n\n".join(parts)) + "\n"


def _file(file: str, findings: Sequence[Finding]) -> str:
    """One file: first every call that needs or has a row, then the advice, each name once."""
    rows = [found for found in findings if found.counted and found.category != "structure"]
    lines = [file]
    name_width = min(28, max((len(_name(found)) for found in rows), default=0))
    place_width = max((len(found.place) for found in rows), default=0)
    noted = set()
    for found in rows:
        lines.append(_line(found, place_width, name_width))
        indent = " " * (place_width + 4)
        if found.change and (found.row, found.change) not in noted:  # once in a file
            noted.add((found.row, found.change))
            lines.append(_wrapped(f"note: {found.change}", indent, "      "))
        if (
            found.snippet
            and (found.category == "needs adapting" or found.kind in ("call", "method"))
            and found.snippet != found.target
        ):
            lines.append(_wrapped(f"write: {found.snippet}", indent, "       "))
    advice: dict[tuple[str, str, str], list[str]] = {}
    for found in findings:
        if found.category == "structure" or not found.counted:
            advice.setdefault((found.shown, found.target, found.change), []).append(
                f"{f'{found.cell}.' if found.cell else ''}{found.line}"
            )
    if advice:
        lines.append(
            "  to be rewritten without verification:" if rows else "  nothing to verify, only to be rewritten:"
        )
    for (name, target, change), places in advice.items():
        told = "; ".join(part for part in (target, change) if part)
        lines.append(_wrapped(f"{name} -> {told or 'see its row'}  [{_places(places)}]", "    ", "    "))
    return "\n".join(lines)


def _line(found: Finding, place_width: int, name_width: int) -> str:
    name = _name(found)
    start = f"  {found.place:>{place_width}}  {name:<{name_width}}  "
    told = f"{found.category if found.category in ('covered', 'needs adapting') else found.category.upper():<14}  "
    rest = (
        f"{found.target} ({found.verdict})"
        if found.target and found.verdict != "no row"
        else found.target or found.verdict
    )
    line = (start + told + rest).rstrip()
    if len(line) <= WIDTH:
        return line
    return "\n".join([(start + told).rstrip(), _wrapped(rest, " " * (place_width + 4))])


def _name(found: Finding) -> str:
    return found.shown + (" (by name)" if found.by_name_only else " (guessed)" if found.guessed else "")


def _places(places: Sequence[str]) -> str:
    unique = list(dict.fromkeys(places))
    more = f", and {len(unique) - 6} more" if len(unique) > 6 else ""
    return f"line{'s' if len(unique) > 1 else ''} {', '.join(unique[:6])}{more}"


def _summary(report: Report) -> str:
    """Counts by file and category, aligned."""
    head = ("covered", "adapt", "structure", "unknown", "unsupported")
    table = [(file, *tally(found).values()) for file, found in report.by_file().items()]
    if len(table) > 1:
        table.append(("all", *report.counts().values()))
    widths = [max(len(title), *(len(str(row[column + 1])) for row in table)) for column, title in enumerate(head)]
    room = WIDTH - sum(widths) - 2 * len(widths)
    width = min(room, max(len(str(row[0])) for row in table))
    lines = [" " * width + "".join(f"  {title:>{size}}" for title, size in zip(head, widths, strict=True))]
    for file, *counts in table:
        shown = str(file) if len(str(file)) <= width else "..." + str(file)[3 - width :]
        lines.append(
            f"{shown:<{width}}" + "".join(f"  {count:>{size}}" for count, size in zip(counts, widths, strict=True))
        )
    return "\n".join(lines)


def _explained(report: Report) -> list[str]:
    told = []
    counts = report.counts()
    if lacking := counts["unknown"] + counts["unsupported"]:
        names = sorted(
            {found.shown for found in report.findings if found.counted and found.category in ("unknown", "unsupported")}
        )
        told.append(f"{lacking} without a verified row: {', '.join(names)}.")
    elif report.findings:
        told.append("Every call has a verified row or advice.")
    else:
        told.append("torch is not used in what was read.")
    if any(found.by_name_only for found in report.findings):
        told.append(
            "By name: the method of an object whose type the source does not tell; it may be something else than a tensor."
        )
    if any(found.guessed for found in report.findings):
        told.append("Guessed: the name comes from an import of everything (*).")
    if report.findings:
        told.append("Operators such as a @ b, indexing and attributes such as x.T are not looked at.")
    return told


def _wrapped(text: str, indent: str, hanging: str = "") -> str:
    """At most 80 columns; what cannot be broken stays whole."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _markdown(report: Report) -> str:
    """A summary, then a table of everything that is not simply covered; the rest is folded away."""
    counts = report.counts()
    lines = ["### torch to MindSpore", "", f"| {' | '.join(CATEGORIES)} |", "|" + "--:|" * len(CATEGORIES)]
    lines += [f"| {' | '.join(str(counts[category]) for category in CATEGORIES)} |", ""]
    attention = [
        found
        for found in report.findings
        if found.counted and found.category in ("unknown", "unsupported", "needs adapting")
    ]
    rest = [found for found in report.findings if found.counted and found.category in ("covered", "structure")]
    if attention:
        lines += [*_table(attention), ""]
    if rest:
        lines += [
            f"<details><summary>{len(rest)} covered or structure</summary>",
            "",
            *_table(rest),
            "",
            "</details>",
            "",
        ]
    if report.problems:
        lines += ["Not read:", "", *(f"- {_escaped(text)}" for text in report.problems), ""]
    lines += [f"- {_escaped(text)}" for text in (*_explained(report), *report.notes)]
    return printable("\n".join(lines)) + "\n"


def _table(findings: Iterable[Finding]) -> list[str]:
    lines = ["| where | torch | category | MindSpore | verdict | what changes |", "|---|---|---|---|---|---|"]
    for found in findings:
        name = _code(found.shown) + (" by name" if found.by_name_only else " guessed" if found.guessed else "")
        instead = _code(found.snippet or found.target)
        cells = (
            _code(f"{found.file}:{found.place}"),
            name,
            found.category,
            instead,
            found.verdict,
            _escaped(found.change),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _code(text: str) -> str:
    """As code in a table: a bar would end the cell, a backtick the code."""
    if not text:
        return ""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{_oneline(text).replace('|', chr(92) + '|')}{space}{fence}"


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "|`*_<>[]" else letter for letter in _oneline(text))


def _oneline(text: str) -> str:
    return " ".join(text.split())
