"""What changes the scores of the next token, in the order in which it is applied.

First what depends on the tokens that are there already: `penalise`, `repeated`. Then, for sampling, the temperature and
the filters: each gets the scores of the tokens that are left and says which of them stay. A filter always leaves one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from common.generation.options import GenerationOptions

__all__ = ["Filter", "filters", "log_softmax", "min_p", "penalise", "repeated", "softmax", "surviving", "top_k", "top_p", "typical_p"]  # fmt: skip

Filter = Callable[[np.ndarray], np.ndarray]  #: scores ``(tokens,)`` float64 to booleans


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, in float64."""
    powers = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Log-probabilities over the last axis in the dtype of ``scores``; the sum is taken in float64."""
    largest = scores.max(-1, keepdims=True)
    total = np.exp(scores - largest).sum(-1, keepdims=True, dtype=np.float64)
    return scores - (largest + np.log(total)).astype(scores.dtype)


def penalise(scores: np.ndarray, history: np.ndarray, penalty: float) -> None:
    """Divide the scores ``(vocabulary,)`` of the tokens in ``history`` by ``penalty``, or multiply where they are
    negative (Keskar et al. 2019), in place; each token once."""
    there = np.unique(history)
    found = scores[there]
    factor = scores.dtype.type(penalty)
    scores[there] = np.where(found < 0, found * factor, found / factor)


def repeated(history: np.ndarray, size: int) -> np.ndarray:
    """Tokens that would complete a sequence of ``size`` tokens that ``history`` ``(tokens,)`` holds already."""
    if len(history) < size:
        return history[:0]
    windows = np.lib.stride_tricks.sliding_window_view(history, size)
    same = (windows[:, :-1] == history[len(history) + 1 - size :]).all(1)
    return windows[same, -1]


def top_k(scores: np.ndarray, k: int, least: int = 1) -> np.ndarray:
    """The ``k`` largest, and what equals the last of them (Fan et al. 2018)."""
    k = min(max(k, least), len(scores))
    return scores >= np.partition(scores, -k)[-k]


def top_p(scores: np.ndarray, p: float, least: int = 1) -> np.ndarray:
    """The fewest of the most probable whose probabilities add up to ``p`` (Holtzman et al. 2020)."""
    order = np.argsort(scores, kind="stable")
    kept = np.cumsum(softmax(scores[order])) > 1 - p
    kept[-least:] = True
    return _in_place(kept, order)


def min_p(scores: np.ndarray, p: float, least: int = 1) -> np.ndarray:
    """Those with at least ``p`` times the largest probability (Nguyen et al. 2024)."""
    probabilities = softmax(scores)
    kept = probabilities >= p * probabilities.max()
    kept[np.argsort(-probabilities, kind="stable")[:least]] = True
    return kept


def typical_p(scores: np.ndarray, mass: float, least: int = 1) -> np.ndarray:
    """Those whose information is nearest to the entropy, up to a probability of ``mass`` (Meister et al. 2022)."""
    logs = log_softmax(scores.astype(np.float64))
    probabilities = np.exp(logs)
    distance = np.abs(-logs + (logs * probabilities).sum())
    order = np.argsort(distance, kind="stable")
    last = min(int((np.cumsum(probabilities[order]) < mass).sum()), len(scores) - 1)
    kept = distance[order] <= distance[order[last]]
    kept[:least] = True
    return _in_place(kept, order)


def _in_place(kept: np.ndarray, order: np.ndarray) -> np.ndarray:
    found = np.empty_like(kept)
    found[order] = kept
    return found


def filters(options: GenerationOptions, least: int = 1) -> Sequence[Filter]:
    """The filters that ``options`` switch on, in order.

    Args:
        least: tokens that each of them leaves at least.
    """
    found: list[Filter] = []
    if options.top_k:
        found.append(partial(top_k, k=options.top_k, least=least))
    if options.top_p < 1:
        found.append(partial(top_p, p=options.top_p, least=least))
    if options.min_p > 0:
        found.append(partial(min_p, p=options.min_p, least=least))
    if options.typical_p < 1:
        found.append(partial(typical_p, mass=options.typical_p, least=least))
    return found


def surviving(scores: np.ndarray, temperature: float, chain: Iterable[Filter]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids that pass every filter, ascending, and their scores over ``temperature`` in float64.

    Args:
        scores: of every token, ``(vocabulary,)``; -infinity is left out.
    """
    tokens = np.flatnonzero(scores > -np.inf)
    left = scores[tokens].astype(np.float64) / temperature
    for passes in chain:
        kept = passes(left)
        tokens, left = tokens[kept], left[kept]
    return tokens, left
