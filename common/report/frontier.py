"""The page of ``twinlora bench latency``: what an answer takes, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.language import in_english
from common.report.elements import Html, byte_size, duration, figure, legend, measure, note, page, section, table, tiles
from common.report.figures import COLOURS, SERIES, drawn

__all__ = ["frontier_page", "on_the_frontier"]


def on_the_frontier(points: Mapping[str, tuple[float, ...]]) -> set[str]:
    """Names of the points that no other one beats: none is at least as good in everything and better in something.

    Args:
        points: by name, numbers of which less is better.

    >>> sorted(on_the_frontier({"a": (1, 3), "b": (3, 1), "c": (3, 3)}))
    ['a', 'b']
    """
    return {name for name, one in points.items() if not any(_beats(other, one) for other in points.values())}


def _beats(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    pairs = list(zip(first, second, strict=True))
    return all(left <= right for left, right in pairs) and any(left < right for left, right in pairs)


@in_english
def frontier_page(found: Mapping[str, Any]) -> str:
    """Tiles, the drawing of score, latency and size where scores were asked for, and a table of everything.

    Args:
        found: what `common.bench.latency.measure_latency` returns, with ``threads``.
    """
    artifacts, metric = found["artifacts"], found.get("metric")
    names = list(artifacts)
    best = _best(artifacts, metric)
    lead = (
        f"{found['rows']} x {found['tokens']} tokens, {found['threads']} thread(s). Artifacts answered in turn, each "
        "in a process of its own."
    )
    return page(
        "Latency, size and score" if metric else "Latency and size",
        lead,
        tiles(_tiles(artifacts, metric)),
        _drawing(artifacts, metric, names, best) if metric else Html(""),
        _table(found, best),
    )


def _best(artifacts: Mapping[str, Any], metric: Mapping[str, Any] | None) -> set[str]:
    points: dict[str, tuple[float, ...]] = {}
    for name, one in artifacts.items():
        score = () if metric is None else (-one["score"] if metric["higher_is_better"] else one["score"],)
        points[name] = (one["median"], one["bytes"], *score)
    return on_the_frontier(points)


def _tiles(artifacts: Mapping[str, Any], metric: Mapping[str, Any] | None) -> list[tuple[str, Any, Any]]:
    fastest = min(artifacts, key=lambda name: artifacts[name]["median"])
    smallest = min(artifacts, key=lambda name: artifacts[name]["bytes"])
    found = [
        ("fastest", duration(artifacts[fastest]["median"]), fastest),
        ("smallest", byte_size(artifacts[smallest]["bytes"]), smallest),
    ]
    if metric is not None:
        choose = max if metric["higher_is_better"] else min
        top = choose(artifacts, key=lambda name: artifacts[name]["score"])
        found.append((f"best {metric['name']}", measure(artifacts[top]["score"]), top))
    return found


def _drawing(artifacts: Mapping[str, Any], metric: Mapping[str, Any], names: Sequence[str], best: set[str]) -> Html:
    """Score over latency; the area of a mark is the artifact's size, and what others beat is hollow."""
    largest = max(one["bytes"] for one in artifacts.values())
    colours = [SERIES[number % len(SERIES)] for number in range(len(names))]

    def draw(axes: Any) -> None:
        for name, colour in zip(names, colours, strict=True):
            one = artifacts[name]
            area = 20 + 380 * one["bytes"] / largest
            face = COLOURS[colour] if name in best else "none"
            axes.scatter(
                [1e3 * one["median"]], [one["score"]], s=area, facecolors=face, edgecolors=COLOURS[colour], alpha=0.85
            )
        axes.margins(0.15)
        axes.set_xlim(left=0)

    shown = drawn(f"{metric['name']} by latency", draw, "median latency, ms", metric["name"], (8.4, 3.4))
    text = "The area of a mark is the size. Hollow: another artifact is no slower, no larger and no worse."
    return section("Frontier", legend(zip(colours, names, strict=True)), figure("Score by latency", shown, text))


def _table(found: Mapping[str, Any], best: set[str]) -> Html:
    metric = found.get("metric")
    head = ["", "median", "p95", "sentences/s", "tokens/s", "ratio", "size", "peak memory", "frontier"]
    head += [f"{metric['name']} ({metric['split']})"] if metric else []
    rows = []
    for name, one in found["artifacts"].items():
        row = [name, duration(one["median"]), duration(one["p95"]), measure(one["sentences_per_second"])]
        row += [measure(one["tokens_per_second"]), f"{one['ratio']:.3f}", byte_size(one["bytes"])]
        row += [byte_size(one["peak_memory_bytes"]), "yes" if name in best else "no"]
        rows.append([*row, measure(one["score"])] if metric else row)
    said = note("ratio: of the median to that of the first. Memory: the largest resident set of the process.")
    return section("Measurements", table(head, rows), said)
