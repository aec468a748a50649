"""Tables as Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
import re

from common.report import elements
from common.report.elements import Html, note
from common.report.study.tables import Table

__all__ = ["comma_separated", "file_name", "html", "latex", "markdown"]

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\u00b1": r"$\pm$", "\u2013": "--", "<": r"\textless{}",
    ">": r"\textgreater{}",
}  # fmt: skip


def file_name(table: Table, index: int) -> str:
    """Of a table's own files, without an ending."""
    words = re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-")[:48].strip("-")
    return f"{index:02d}-{words}" if words else f"{index:02d}"


def markdown(table: Table) -> str:
    """A heading, a table and its notes."""
    rows = [table.head, *table.rows]
    texts = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    ruler = "|" + "---|" * table.naming + "---:|" * (len(table.head) - table.naming)
    lines = [f"| {' | '.join(texts[0])} |", ruler, *(f"| {' | '.join(row)} |" for row in texts[1:])]
    notes = "".join(f"\n{text}\n" for text in table.notes)
    return f"## {table.title}\n\n" + "\n".join(lines) + "\n" + notes


def latex(table: Table) -> str:
    """A ``table`` of the package ``booktabs``."""
    columns = "l" * table.naming + "r" * (len(table.head) - table.naming)
    rows = [" & ".join(map(_escaped, row)) + r" \\" for row in (table.head, *table.rows)]
    notes = "".join(f"\n\\par\\footnotesize {_escaped(text)}" for text in table.notes)
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{_escaped(table.title)}}}", rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule", rf"\end{{tabular}}{notes}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def comma_separated(table: Table) -> str:
    """RFC 4180, with a heading."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([table.head, *table.rows])
    return buffer.getvalue()


def html(table: Table) -> Html:
    """A section of a page."""
    rows = [(row[0], *row[1:]) for row in table.rows]
    return elements.section(table.title, elements.table(table.head, rows), *map(note, table.notes))
