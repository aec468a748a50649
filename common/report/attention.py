"""The page of an attention: a heat map of what each written token attended to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.files import write_atomic
from common.language import in_english
from common.report.elements import Html, details, escape, figure, page, scrolling, section

if TYPE_CHECKING:
    from common.generation.attention import Attention

__all__ = ["attention_page", "heat_map"]

_CELL = 26  #: width and height of a cell in pixels
_LETTER = 7.5  #: width of a letter


def heat_map(rows: Sequence[str], columns: Sequence[str], weights: np.ndarray) -> Html:
    """An inline SVG of ``weights`` ``(rows, columns)`` in [0, 1], each as dark as it is large and written in the tip of
    its cell; the page's colours, light or dark."""
    left = 10 + _LETTER * max(map(len, rows))
    top = 10 + _LETTER * max(map(len, columns))
    width, height = left + _CELL * len(columns), top + _CELL * len(rows)
    parts = [
        f'<text x="{left - 6:.0f}" y="{top + _CELL * (row + 0.65):.0f}" text-anchor="end">{escape(name)}</text>'
        for row, name in enumerate(rows)
    ]
    for column, name in enumerate(columns):
        x, y = left + _CELL * (column + 0.65), top - 6
        parts.append(f'<text transform="translate({x:.0f} {y:.0f}) rotate(-90)">{escape(name)}</text>')
    for (row, column), weight in np.ndenumerate(weights):
        place = f'x="{left + _CELL * column:.0f}" y="{top + _CELL * row:.0f}" width="{_CELL}" height="{_CELL}"'
        tip = f"<title>{escape(rows[row])} &#8592; {escape(columns[column])}: {weight:.3f}</title>"
        parts.append(f'<rect {place} fill="var(--b)" fill-opacity="{weight:.3f}">{tip}</rect>')
    drawing = "".join(parts)
    return scrolling(
        Html(
            f'<svg role="img" aria-label="{len(rows)} x {len(columns)} weights" viewBox="0 0 {width:.0f} {height:.0f}" style="width: {width:.0f}px" '
            f'font-size="13" fill="currentColor">{drawing}</svg>'
        )
    )


@in_english
def attention_page(found: Attention, title: str, out: Path) -> Path:
    """Write one self-contained HTML file and return its path: the mean over layers and heads, each layer, and each
    head.

    Args:
        title: of the page.
    """
    layers = []
    for number, layer in enumerate(found.weights, 1):
        heads = [
            figure(f"Head {head}", heat_map(found.target, found.source, weights))
            for head, weights in enumerate(layer, 1)
        ]
        mean = heat_map(found.target, found.source, layer.mean(0))
        layers.append(section(f"Layer {number}", mean, details("Every head", *heads)))
    whole = section("Mean over layers and heads", heat_map(found.target, found.source, found.mean()))
    lead = "Rows are tokens that were written, columns tokens that were read. The weights of a row have the sum 1."
    write_atomic(out, page(title, lead, whole, *layers))
    return out
