"""The few HTML elements that every page shares. Text is escaped unless it is already ``Html``."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from common.language import current, translated

__all__ = [
    "Html",
    "byte_size",
    "details",
    "duration",
    "escape",
    "figure",
    "legend",
    "measure",
    "note",
    "page",
    "passages",
    "scrolling",
    "section",
    "table",
    "tiles",
]


NONE = "\u2013"  # an en dash
_SHORT = 14  #: characters of a cell that no line breaks


class Html(str):
    """Markup that is ready to stand in a page."""


def escape(value: Any) -> Html:
    """``value`` as markup: unchanged if it is markup already, otherwise its escaped text; None is a dash."""
    return value if isinstance(value, Html) else Html(html.escape(NONE if value is None else str(value)))


def measure(value: Any) -> str:
    """A number as people read it: counts with thousands separators, small figures in scientific notation, others to
    four significant digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NONE if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:,.2f}" if 10 <= abs(value) < 1e7 else f"{value:.2e}"


def byte_size(count: float | None) -> str:
    """Bytes in binary units."""
    if count is None:
        return NONE
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"


def duration(seconds: float | None) -> str:
    """Seconds in the unit that suits them."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], roles: Sequence[str] = ()) -> Html:
    """A table whose first column names the row; ``roles`` (``a``, ``b`` or empty) colours the heading of each
    column."""
    headings = zip_longest(head, roles[: len(head)], fillvalue="")
    top = "".join(_heading(cell, role) for cell, role in headings)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(map(_cell, row[1:])) + "</tr>" for row in rows
    )
    return scrolling(Html(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"))


def _cell(cell: Any) -> str:
    """A number and its unit stay on one line."""
    text = escape(cell)
    return f"<td>{text}</td>" if len(text) <= _SHORT else f'<td class="long">{text}</td>'


def _heading(cell: Any, role: str) -> str:
    """An empty cell heads nothing, which a reader of the page should not hear as a heading."""
    return f'<th scope="col" class="{role}">{escape(cell)}</th>' if cell != "" else "<td></td>"


def scrolling(content: Html) -> Html:
    """What may be wider than the page: it is scrolled by itself, with the keyboard too."""
    return Html(f'<div class="scroll" tabindex="0">{content}</div>')


def tiles(items: Iterable[tuple[str, Any, Any]]) -> Html:
    """Headline figures: (what, value, remark), in rows of four or of three."""
    items = list(items)
    cells = (
        f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd><dd>{escape(remark)}</dd></div>"
        for what, value, remark in items
    )
    return Html(f'<dl class="{"tiles" if len(items) % 4 == 0 else "tiles thirds"}">{"".join(cells)}</dl>')


def legend(entries: Iterable[tuple[str, str]]) -> Html:
    """Colour keys: (role, label)."""
    return Html(
        '<p class="legend">'
        + " ".join(f'<span class="{role}">{escape(label)}</span>' for role, label in entries)
        + "</p>"
    )


def figure(title: str, drawing: Html, caption: Any = "") -> Html:
    """A drawing under its title."""
    below = f"<p>{escape(caption)}</p>" if caption else ""
    return Html(f"<figure><figcaption><h3>{escape(title)}</h3>{below}</figcaption>{drawing}</figure>")


def passages(entries: Iterable[tuple[str, str, str]]) -> Html:
    """A card of texts: (heading, how the text was begun, how it goes on)."""
    parts = (
        f"<h3>{escape(heading)}</h3><blockquote><b>{escape(start)}</b>{escape(text)}</blockquote>"
        for heading, start, text in entries
    )
    return Html(f'<div class="card">{"".join(parts)}</div>')


def note(text: Any) -> Html:
    """One paragraph."""
    return Html(f"<p>{escape(text)}</p>")


def details(summary: str, *parts: Html) -> Html:
    """Content that is folded away until asked for."""
    return Html(f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>")


def section(title: str, *parts: Html, css: str = "") -> Html:
    """A titled part of the page; ``css`` names a class for the parts' container."""
    body = "".join(parts)
    return Html(f"<section><h2>{escape(title)}</h2>{f'<div class={css!r}>{body}</div>' if css else body}</section>")


def page(title: str, lead: Any, *sections: Html) -> str:
    """A complete document that loads nothing from anywhere."""
    from common import __version__
    from common.report.style import STYLE

    return (
        f'<!doctype html>\n<html lang="{current()}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{STYLE}</style></head>\n'
        f'<body><main><header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>\n'
        + "\n".join(sections)
        + f"\n<footer>{escape(translated('Written by twinlora {version}.', version=__version__))}</footer></main></body></html>\n"
    )
