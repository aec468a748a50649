"""Singular values of every matrix of a model, and how few of them hold its energy: what a truncation would cost, before
one is made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.compression.matrices import outputs_first
from common.compression.transform import TransformOptions, matches
from common.files import refuse_existing, write_atomic
from common.models.specs import ModelSpec
from common.training.opening import open_model

__all__ = ["ENERGIES", "Spectrum", "spectra", "write_spectra"]

ENERGIES = (0.5, 0.8, 0.9, 0.95, 0.99)  #: shares of the sum of squares that the page gives ranks for


@dataclass(frozen=True)
class Spectrum:
    """Of one matrix."""

    path: str
    rows: int  #: outputs; of an embedding its width
    columns: int  #: inputs; of an embedding its rows
    values: np.ndarray  #: singular values, decreasing, float64

    @property
    def kind(self) -> str:
        """The path without layer numbers, which matrices of several layers have in common."""
        return re.sub(r"\.\d+\.", ".*.", self.path)

    @property
    def layer(self) -> int | None:
        """The first number of the path."""
        found = re.search(r"\.(\d+)\.", self.path)
        return int(found[1]) if found else None

    @property
    def energy(self) -> np.ndarray:
        """What the first r values hold of the sum of squares, for r of 1, 2, ...; 1 throughout for a matrix of zeros."""
        kept = np.cumsum(self.values**2)
        return kept / kept[-1] if kept[-1] else np.ones_like(kept)

    def rank(self, energy: float) -> int:
        """The smallest that holds this share of the sum of squares."""
        return min(int(np.searchsorted(self.energy, energy)) + 1, len(self.values))

    def share(self, rank: int) -> float:
        """Parameters of two factors of that rank by those of the matrix."""
        return rank * (self.rows + self.columns) / (self.rows * self.columns)

    @property
    def stable_rank(self) -> float:
        """Sum of squares by the largest square: 1 for a matrix of rank 1, the rank for equal values."""
        largest = self.values[0] ** 2
        return float((self.values**2).sum() / largest) if largest else 0.0


def spectra(spec: ModelSpec, options: TransformOptions) -> list[Spectrum]:
    """Of every matrix that ``options`` name, in the order of the model, in float64.

    Raises:
        InputError: see `common.compression.transform.matches`.
    """
    found = []
    for item in matches(options, spec):
        matrix = outputs_first(item.module, spec.arrays[f"{item.module.path}.weight"])
        rows, columns = matrix.shape
        found.append(Spectrum(item.module.path, rows, columns, np.linalg.svd(matrix, compute_uv=False)))
    return found


def write_spectra(
    source: str | Path, options: TransformOptions, output: str | Path, task: str | None = None
) -> Sequence[Spectrum]:
    """Write a page about the matrices of a run or a model, which loads nothing from anywhere.

    Args:
        source: a run directory or a model, see `common.training.opening.open_model`.
        output: an HTML file that is not there yet.

    Raises:
        InputError: something does not fit; nothing is written.
    """
    from common.report.spectrum import spectrum_page

    refuse_existing(Path(output))
    spec = open_model(source, task).spec
    found = spectra(spec, options)
    write_atomic(Path(output), spectrum_page(str(spec.source), found))
    return found
