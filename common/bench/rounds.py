"""Taking turns, and the ratios that come of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common.errors import RunError

__all__ = ["TOLERANCE", "alternate", "check_losses", "fastest", "median", "ratios"]

TOLERANCE = 1e-3  #: relative difference of two subjects' first losses, above which they do not compute the same
TOLERANCE_BF16 = 1e-2  #: where one of them computes in bfloat16


def alternate(
    measure: Mapping[str, Callable[[], float]], rounds: int, tell: Callable[[str], None] = lambda text: None
) -> dict[str, list[float]]:
    """Call every function once a round, in the same order: A B A B. Returns what each returned."""
    samples: dict[str, list[float]] = {name: [] for name in measure}
    for number in range(1, rounds + 1):
        for name, function in measure.items():
            samples[name].append(function())
        tell(
            f"round {number} of {rounds}: " + ", ".join(f"{name} {values[-1]:.4g}" for name, values in samples.items())
        )
    return samples


def fastest(function: Callable[[], object], repeats: int, wait: Callable[[], None] = lambda: None) -> float:
    """Seconds of the fastest of some calls, after one that is not counted. ``wait`` returns when the device is done."""
    seconds = []
    for _ in range(repeats + 1):
        wait()
        begun = time.perf_counter()
        function()
        wait()
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:])


def ratios(
    samples: Mapping[str, Sequence[float]], pairs: Sequence[tuple[str, str]]
) -> dict[str, dict[str, float | list[float]]]:
    """For each pair (ours, other), named ``ours/other``: the ratio in every round, its quartiles, and the ratio of the
    sums.

    The two of a ratio were measured one after the other, so that whatever slows the machine down for longer slows both.
    """
    found = {}
    for ours, other in pairs:
        each = np.asarray(samples[ours]) / np.asarray(samples[other])
        low, middle, high = (float(value) for value in np.percentile(each, (25, 50, 75)))
        sums = sum(samples[ours]) / sum(samples[other])
        found[f"{ours}/{other}"] = {
            "median": middle,
            "lower_quartile": low,
            "upper_quartile": high,
            "of_sums": sums,
            "rounds": each.tolist(),
        }
    return found


def median(values: Sequence[float]) -> float:
    """The median as a plain number."""
    return float(np.median(values))


def check_losses(losses: Mapping[str, float]) -> None:
    """Refuse to compare subjects that do not compute the same.

    Raises:
        RunError: two losses differ by more than that.
    """
    values = np.array(list(losses.values()))
    tolerance = TOLERANCE_BF16 if any("dtype=bf16" in name for name in losses) else TOLERANCE
    if not np.ptp(values) <= tolerance * np.abs(values).max():  # NaN neither
        listed = ", ".join(f"{name} {value:.6f}" for name, value in losses.items())
        raise RunError(
            f"Subjects may only be compared where their first losses agree within {tolerance:g}; received {listed}. They compute different things."
        )
