"""Line charts as inline SVG that follows the page's colours, light or dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.report.elements import Html, escape, scrolling
from common.report.runs import smooth

__all__ = ["COLOURS", "SERIES", "Line", "drawn", "line_chart", "smoothed"]

# Matplotlib needs real colours; these stand for the page's CSS variables and are replaced in the finished SVG.
COLOURS = {"a": "#a10001", "b": "#a10002", "ink": "#a10003", "rule": "#a10004"}
SERIES = tuple(f"c{number}" for number in range(8))  #: of several runs, by position
COLOURS |= {name: f"#a2000{number}" for number, name in enumerate(SERIES)}
STYLES = {  # two runs that agree lie on each other: the first is drawn wide and pale so that the second shows on top of it
    "a": {"linewidth": 4.2, "alpha": 0.55},
    "b": {"linewidth": 1.3, "alpha": 1.0},
    "ink": {"linewidth": 1.3, "alpha": 1.0},
}


_WIDE = 6.0  #: inches; wider drawings are scrolled where the page is narrow, since their text would be too small


@dataclass(frozen=True)
class Line:
    """One curve: ``x`` and ``y`` of equal length, coloured by its role (``a``, ``b`` or ``ink``)."""

    role: str
    x: np.ndarray
    y: np.ndarray
    faint: bool = False
    points: bool = False  #: markers instead of a line


def smoothed(line: Line) -> list[Line]:
    """The raw curve, faint, under its moving average over a twentieth of its length; short curves stay as they are."""
    span = len(line.y) // 20
    return [line] if span < 2 else [replace(line, faint=True), replace(line, y=smooth(line.y, span))]


def line_chart(title: str, lines: Sequence[Line], y_label: str, log: bool = False, x_label: str = "step") -> Html:
    """Draw the lines over common axes. On a logarithmic axis, which shows whole decades, points that are not positive
    are left out."""

    def draw(axes: Any) -> None:
        for line in lines:
            style = {"linewidth": 0.7, "alpha": 0.35} if line.faint else STYLES[line.role]
            marks = {"linestyle": "none", "marker": "o", "markersize": 4.5, "markeredgewidth": 0} if line.points else {}
            keep = line.y > 0 if log else np.isfinite(line.y)
            axes.plot(line.x[keep], line.y[keep], color=COLOURS[line.role], solid_capstyle="round", **(style | marks))
        if log:
            axes.set_yscale("log")
            axes.set_ylim(*_decades([line.y for line in lines]))
        axes.xaxis.get_major_locator().set_params(integer=True)

    return drawn(title, draw, x_label, y_label)


def _decades(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """The powers of ten around the positive values: within a decade, labels of ticks would differ in no digit shown."""
    positive = np.concatenate([one[np.isfinite(one) & (one > 0)] for one in values])
    if not len(positive):
        return 0.1, 1.0
    low, high = np.floor(np.log10(positive.min())), np.ceil(np.log10(positive.max()))
    return float(10.0**low), float(10.0 ** max(high, low + 1))


def drawn(
    title: str, draw: Callable[[Any], None], x_label: str, y_label: str, size: tuple[float, float] = (4.4, 2.75)
) -> Html:
    """What ``draw`` puts on matplotlib's axes, in the colours of the page. The same drawing gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 8.5, "axes.linewidth": 0.6}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(x_label, color=COLOURS["ink"])
        axes.set_ylabel(y_label, color=COLOURS["ink"])
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=COLOURS["rule"], linewidth=0.5)
        draw(axes)
        axes.tick_params(which="both", length=0, colors=COLOURS["ink"])
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(COLOURS["rule"])
        buffer = io.StringIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has the fonts; text stays text
            figure.savefig(
                buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
            )
    if size[0] < _WIDE:
        return _inline(buffer.getvalue(), title)
    return scrolling(_inline(buffer.getvalue(), title, "wide"))


def _inline(svg: str, title: str, css: str = "") -> Html:
    """The drawing alone, sized by the page, with the page's colours, and readable by a screen reader."""
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    body = svg[svg.index("<svg") :]
    view = re.search(r'viewBox="[^"]+"', body)
    assert view is not None  # matplotlib writes one
    return Html(f'<svg class="{css}" {view[0]} role="img" aria-label="{escape(title)}">{body[body.index(">") + 1 :]}')
