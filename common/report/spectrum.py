"""The page about the singular values of a model's matrices: which of them a truncation shortens most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.compression.spectrum import ENERGIES, Spectrum
from common.language import in_english
from common.report.elements import Html, escape, figure, legend, measure, note, page, section, table, tiles
from common.report.figures import COLOURS, SERIES, drawn

__all__ = ["spectrum_page"]

ENERGY = 0.9  #: by which matrices are compared
_POINTS = 200  #: of a curve


@in_english
def spectrum_page(source: str, spectra: Sequence[Spectrum]) -> str:
    """Tiles, shares by layer, curves of every kind of matrix, and a table of all."""
    return page(
        f"Singular values of {source}",
        f"{len(spectra)} matrices. The rank that holds {ENERGY:.0%} of the sum of squared singular values, and what two "
        "factors of that rank hold of the matrix's parameters: above 100 % they are no smaller.",
        tiles(_tiles(spectra)),
        _by_layer(spectra),
        *_curves(spectra),
        _table(spectra),
    )


def _tiles(spectra: Sequence[Spectrum]) -> list[tuple[str, Any, Any]]:
    order = sorted(spectra, key=_share)
    smaller = [spectrum for spectrum in spectra if _share(spectrum) < 1]
    sizes = [spectrum.rows * spectrum.columns for spectrum in spectra]
    left = sum(min(1.0, _share(spectrum)) * size for spectrum, size in zip(spectra, sizes, strict=True))
    return [
        ("compresses best", f"{_share(order[0]):.1%}", _named(order[0])),
        ("compresses worst", f"{_share(order[-1]):.1%}", _named(order[-1])),
        ("matrices that get smaller", f"{len(smaller)} of {len(spectra)}", f"at {ENERGY:.0%} of the energy"),
        ("parameters left", f"{left / sum(sizes):.1%}", f"of {sum(sizes):,}, each matrix in its smaller form"),
    ]


def _named(spectrum: Spectrum) -> Html:
    """Its path, which lines may break after dots, and its rank."""
    return Html(escape(spectrum.path).replace(".", ".<wbr>") + f", rank {spectrum.rank(ENERGY):,}")


def _share(spectrum: Spectrum) -> float:
    return spectrum.share(spectrum.rank(ENERGY))


def _kinds(spectra: Sequence[Spectrum]) -> dict[str, list[Spectrum]]:
    found: dict[str, list[Spectrum]] = {}
    for spectrum in spectra:
        found.setdefault(spectrum.kind, []).append(spectrum)
    return found


def _colours(count: int) -> list[str]:
    return [SERIES[index % len(SERIES)] for index in range(count)]


def _by_layer(spectra: Sequence[Spectrum]) -> Html:
    """A line for every kind of matrix that several layers have."""
    kinds = {kind: found for kind, found in _kinds(spectra).items() if len(found) > 1}
    if not kinds:
        return Html("")
    colours = _colours(len(kinds))

    def draw(axes: Any) -> None:
        for colour, found in zip(colours, kinds.values(), strict=True):
            layers = [spectrum.layer for spectrum in found]
            axes.plot(layers, [100 * _share(one) for one in found], color=COLOURS[colour], marker="o", markersize=3.5)
        axes.axhline(100, color=COLOURS["rule"], linewidth=1.0)
        axes.xaxis.get_major_locator().set_params(integer=True)

    drawing = drawn("share of parameters by layer", draw, "layer", f"parameters at {ENERGY:.0%} energy, %", (8.4, 2.6))
    keys = legend(zip(colours, kinds, strict=True))
    return section("By layer", keys, figure("Share of the parameters", drawing, "Below the line, factors are smaller."))


def _curves(spectra: Sequence[Spectrum]) -> list[Html]:
    """Singular values and energy of every kind, a line for each of its layers."""
    return [
        section(kind, _key(found), Html(f'<div class="grid">{_values(kind, found)}{_energies(kind, found)}</div>'))
        for kind, found in _kinds(spectra).items()
    ]


def _key(found: Sequence[Spectrum]) -> Html:
    if len(found) == 1:
        return Html("")
    names = [f"layer {spectrum.layer}" for spectrum in found]
    return legend(zip(_colours(len(found)), names, strict=True))


def _values(kind: str, found: Sequence[Spectrum]) -> Html:
    return _lines(
        "Singular values", f"values of {kind}", found, lambda one: one.values / (one.values[0] or 1.0), "by the largest"
    )


def _energies(kind: str, found: Sequence[Spectrum]) -> Html:
    return _lines("Energy of the first r", f"energy of {kind}", found, lambda one: one.energy, "share of the squares")


def _lines(heading: str, title: str, found: Sequence[Spectrum], curve: Any, y_label: str) -> Html:
    def draw(axes: Any) -> None:
        for colour, spectrum in zip(_colours(len(found)), found, strict=True):
            y = curve(spectrum)
            at = np.unique(np.linspace(0, len(y) - 1, min(len(y), _POINTS)).astype(int))
            axes.plot(at + 1, y[at], color=COLOURS[colour], linewidth=1.1)
        axes.set_ylim(0, 1.02)
        axes.xaxis.get_major_locator().set_params(integer=True)

    return figure(heading, drawn(title, draw, "r", y_label))


def _table(spectra: Sequence[Spectrum]) -> Html:
    head = ("matrix", "out x in", *(f"rank at {energy:.0%}" for energy in ENERGIES), "share", "stable rank", "norm")
    rows = [
        (
            spectrum.path,
            f"{spectrum.rows:,} x {spectrum.columns:,}",
            *(f"{spectrum.rank(energy):,}" for energy in ENERGIES),
            f"{_share(spectrum):.1%}",
            f"{spectrum.stable_rank:.1f}",
            measure(float(np.linalg.norm(spectrum.values))),
        )
        for spectrum in sorted(spectra, key=_share)
    ]
    below = f"From the one that compresses best. The share is that at {ENERGY:.0%} of the energy."
    return section("Every matrix", note(below), table(head, rows))
