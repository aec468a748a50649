"""Weighted combinations of LoRA adapters as one new adapter, in NumPy float64; the ways are those of PEFT's
``add_weighted_adapter``.

With w_i the weight, s_i the scale and A_i, B_i the factors of adapter i, the new adapter has the scale 1 and

- ``linear``: A = sum of sign(w_i) sqrt(|w_i s_i|) A_i and B = sum of sqrt(|w_i s_i|) B_i; a rough approximation;
- ``cat``: the factors one beside the other, which is the exact sum of w_i s_i B_i A_i;
- ``svd``: the best approximation of that sum by a given rank (Eckart and Young 1936);
- ``ties`` (Yadav et al. 2023): the entries of largest magnitude, of those the ones of the elected sign, their mean;
- ``dare_linear``, ``dare_ties`` (Yu et al. 2024): random entries, rescaled, in place of the largest ones;
- ``magnitude_prune``: the entries of largest magnitude, summed.

The last four act on the factors, or with ``_svd`` behind their name on the updates, whose result is factored again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common import random
from common.errors import InputError, nearest

__all__ = ["MERGES", "Combination", "Factors", "combine"]

_OF_ENTRIES = ("linear", "ties", "dare_linear", "dare_ties", "magnitude_prune")
_LARGEST = float(np.finfo(np.float32).max)
_PRUNED = _OF_ENTRIES[1:]
MERGES = (*_OF_ENTRIES, "cat", "svd", *(f"{name}_svd" for name in _PRUNED))


@dataclass(frozen=True)
class Factors:
    """LoRA of one module: s B A."""

    a: np.ndarray  #: (rank, in)
    b: np.ndarray  #: (out, rank)
    scale: float


@dataclass(frozen=True)
class Combination:
    """How adapters are combined."""

    way: str
    weights: tuple[float, ...]
    density: float | None = None  #: of the entries that are kept
    rank: int | None = None  #: of a factored result; by default the largest of the adapters'
    majority: str = "total"  #: what elects a sign: the sum of the entries, or with ``frequency`` of their signs
    seed: int = 0  #: of the random entries

    def check(self, count: int) -> None:
        """Raise InputError where the settings do not fit ``count`` adapters, or each other."""
        if self.way not in MERGES:
            raise InputError(
                f"method must be one of {', '.join(MERGES)}; received {self.way!r}.{nearest(self.way, MERGES)}"
            )
        if len(self.weights) != count:
            raise InputError(
                f"There must be one weight for each of the {count} adapters; received {len(self.weights)}."
            )
        if not all(abs(weight) <= _LARGEST for weight in self.weights):
            raise InputError(
                f"Weights must be finite numbers of float32; received {', '.join(map(str, self.weights))}."
            )
        factored, pruned = self.way.endswith("svd"), self.way.removesuffix("_svd") in _PRUNED
        if pruned and (self.density is None or not 0 < self.density <= 1):
            raise InputError(f"method {self.way} needs a density above 0 and at most 1; received {self.density!r}.")
        if not pruned and self.density is not None:
            raise InputError(f"method {self.way} keeps every entry; received density {self.density!r}. Leave it out.")
        if self.rank is not None and (not factored or self.rank < 1):
            problem = (
                "must be greater than 0" if factored else f"is for methods that end in svd; {self.way} has its own"
            )
            raise InputError(f"rank {problem}; received {self.rank!r}.")
        if self.majority not in ("total", "frequency"):
            raise InputError(f"majority must be total or frequency; received {self.majority!r}.")


def combine(path: str, given: Mapping[int, Factors], combination: Combination) -> Factors:
    """The factors of one module, float32, with the scale 1.

    Args:
        path: of the module, for messages and random entries.
        given: by the number of the adapter; those that do not adapt the module are left out.

    Raises:
        InputError: the ranks differ where they must not.
    """
    way, numbers = combination.way, sorted(given)
    factors = [given[number] for number in numbers]
    shares = [combination.weights[number] * given[number].scale for number in numbers]
    if way == "cat":
        a = np.concatenate([share * f.a.astype(np.float64) for share, f in zip(shares, factors, strict=True)])
        return _rounded(a, np.concatenate([f.b.astype(np.float64) for f in factors], 1))
    if way.endswith("svd"):
        updates = [f.scale * (f.b.astype(np.float64) @ f.a.astype(np.float64)) for f in factors]
        weights = [combination.weights[number] for number in numbers]
        kind = way.removesuffix("svd").removesuffix("_") or "linear"
        mixed = _mixed(kind, updates, weights, combination, [f"{path}|{number}" for number in numbers])
        return _factored(mixed, combination.rank or max(len(f.a) for f in factors))
    ranks = {len(f.a) for f in factors}
    if len(ranks) > 1:
        raise InputError(
            f"method {way} adds factors of one rank; those of {path} have the ranks {', '.join(map(str, sorted(ranks)))}. "
            "Use cat or a method that ends in svd."
        )
    roots = [math.sqrt(abs(share)) for share in shares]
    signed = [math.copysign(root, share) for root, share in zip(roots, shares, strict=True)]
    a = [f.a.astype(np.float64) for f in factors]
    b = [f.b.astype(np.float64) for f in factors]
    return _rounded(
        _mixed(way, a, signed, combination, [f"{path}|A|{number}" for number in numbers]),
        _mixed(way, b, roots, combination, [f"{path}|B|{number}" for number in numbers]),
    )


def _mixed(
    way: str, arrays: Sequence[np.ndarray], weights: Sequence[float], combination: Combination, names: Sequence[str]
) -> np.ndarray:
    """One array of several: pruned, weighted, and summed or averaged where their signs agree."""
    if way in _PRUNED:
        dare = way.startswith("dare")
        pruned = [
            _random(array, combination, name) if dare else _largest(array, combination)
            for array, name in zip(arrays, names, strict=True)
        ]
    else:
        pruned = list(arrays)
    stacked = np.stack(pruned)
    weighted = stacked * np.asarray(weights).reshape(-1, *[1] * (stacked.ndim - 1))
    if not way.endswith("ties"):
        return weighted.sum(0)
    signs = np.sign(stacked)
    votes = (stacked if combination.majority == "total" else signs).sum(0)
    agree = signs == np.where(votes >= 0, 1, -1)
    return (weighted * agree).sum(0) / np.maximum(agree.sum(0), 1)


def _largest(array: np.ndarray, combination: Combination) -> np.ndarray:
    """The share ``density`` of largest magnitude."""
    assert combination.density is not None  # `Combination.check`
    if combination.density >= 1:
        return array
    flat = array.reshape(-1)
    kept = np.argsort(-np.abs(flat), kind="stable")[: int(combination.density * flat.size)]
    found = np.zeros_like(flat)
    found[kept] = flat[kept]
    return found.reshape(array.shape)


def _random(array: np.ndarray, combination: Combination, name: str) -> np.ndarray:
    """Each entry with probability ``density``, divided by it; a function of (seed, name) alone."""
    assert combination.density is not None  # `Combination.check`
    if combination.density >= 1:
        return array
    unit = (random.words(combination.seed, f"dare|{name}", array.shape) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.where(unit < combination.density, array / combination.density, 0.0)


def _factored(update: np.ndarray, rank: int) -> Factors:
    u, s, v = np.linalg.svd(update, full_matrices=False)
    return _rounded(v[:rank], u[:, :rank] * s[:rank])


def _rounded(a: np.ndarray, b: np.ndarray) -> Factors:
    with np.errstate(over="ignore"):  # whoever writes the factors refuses infinity
        return Factors(a.astype(np.float32), b.astype(np.float32), 1.0)
