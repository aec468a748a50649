"""L-BFGS as torch has it: quasi-Newton steps from the last gradients (Nocedal 1980), in NumPy, on flat parameters.

It follows ``torch/optim/lbfgs.py``, whose line search is minFunc's for the strong Wolfe conditions (Nocedal and Wright
2006, algorithms 3.5 and 3.6). As there, losses are Python's floats, and slopes and interpolated lengths numbers of the
parameters' dtype, so that steps agree up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Options", "advance"]

#: the loss and its flat gradient at flat parameters
Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray]]
Slope = Any  #: a NumPy number of the parameters' dtype


@dataclass(frozen=True)
class Options:
    """torch's arguments."""

    lr: float
    max_iter: int
    max_eval: int
    tolerance_grad: float
    tolerance_change: float
    history_size: int
    line_search_fn: str | None


def advance(
    evaluate: Evaluate, x: np.ndarray, loss: float, gradient: np.ndarray, state: dict[str, Any], options: Options
) -> np.ndarray:
    """Up to ``max_iter`` iterations from ``x``, whose loss and gradient are known; the new parameters.

    Args:
        state: what was gathered before, by torch's names; it is changed.

    Raises:
        RuntimeError: the line search has a name that torch does not know.
    """
    if options.line_search_fn not in (None, "strong_wolfe"):
        raise RuntimeError("only 'strong_wolfe' is supported")
    state.setdefault("func_evals", 0)
    state.setdefault("n_iter", 0)
    evaluations, iterations = 1, 0
    state["func_evals"] += 1
    if _largest(gradient) <= options.tolerance_grad:
        return x
    while iterations < options.max_iter:
        iterations += 1
        state["n_iter"] += 1
        direction = state["d"] = _direction(gradient, state, options)
        state["prev_flat_grad"], before = gradient.copy(), loss
        state["prev_loss"] = loss
        first = state["n_iter"] == 1
        length = state["t"] = options.lr * (min(1.0, float(1 / np.abs(gradient).sum())) if first else 1.0)
        slope = gradient @ direction
        if slope > -options.tolerance_change:
            break
        more, flat = 0, False
        if options.line_search_fn is not None:
            most = options.max_eval - evaluations
            loss, gradient, length, more = _line_search(evaluate, x, length, direction, loss, gradient, slope, most)
            state["t"] = length
            x = _moved(x, length, direction)
            flat = _largest(gradient) <= options.tolerance_grad
        else:
            x = _moved(x, length, direction)
            if iterations != options.max_iter:
                loss, gradient = evaluate(x)
                flat, more = _largest(gradient) <= options.tolerance_grad, 1
        evaluations += more
        state["func_evals"] += more
        still = _largest(direction * length) <= options.tolerance_change
        if evaluations >= options.max_eval or flat or still or abs(loss - before) < options.tolerance_change:
            break
    return x


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max())


def _moved(x: np.ndarray, length: float, direction: np.ndarray) -> np.ndarray:
    """x + length direction, in the dtype of x."""
    return x + direction * x.dtype.type(length)


def _direction(gradient: np.ndarray, state: dict[str, Any], options: Options) -> np.ndarray:
    """Minus the inverse Hessian's approximation times the gradient, by the recursion over the last steps."""
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        return -gradient
    kind = gradient.dtype.type
    change, step = gradient - state["prev_flat_grad"], state["d"] * kind(state["t"])
    curvature = float(change @ step)
    changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
    if curvature > 1e-10:
        if len(changes) == options.history_size:
            for kept in (changes, steps, inverses):
                kept.pop(0)
        changes.append(change)
        steps.append(step)
        inverses.append(1.0 / curvature)
        state["H_diag"] = curvature / float(change @ change)
    found, shares = -gradient, [0.0] * len(changes)
    for place in reversed(range(len(changes))):
        shares[place] = float(steps[place] @ found) * inverses[place]
        found = found - changes[place] * kind(shares[place])
    found = found * kind(state["H_diag"])
    for place in range(len(changes)):
        share = float(changes[place] @ found) * inverses[place]
        found = found + steps[place] * kind(shares[place] - share)
    return found


def _interpolated(
    x1: float, f1: float, g1: Slope, x2: float, f2: float, g2: Slope, bounds: tuple[float, float] | None = None
) -> float:
    """The minimum of the cubic with these values and slopes, within the bounds; of a straight line, whose minimum is
    infinitely far away, a bound."""
    low, high = bounds or (min(x1, x2), max(x1, x2))
    kind = type(g1)
    with np.errstate(all="ignore"):  # infinite and NaN as in torch
        first = g1 + g2 - kind(3 * (f1 - f2) / (x1 - x2))
        square = first * first - g1 * g2
        if not square >= 0:
            return (low + high) / 2.0
        root = np.sqrt(square)
        if x1 > x2:
            x1, g1, x2, g2 = x2, g2, x1, g1
        found = float(kind(x2) - kind(x2 - x1) * ((g2 + root - first) / (g2 - g1 + kind(2) * root)))
    return min(max(found, low), high)


@dataclass
class _Point:
    """A length of the step with what was found there."""

    length: float
    loss: float
    gradient: np.ndarray
    slope: Slope


def _line_search(
    evaluate: Evaluate,
    x: np.ndarray,
    length: float,
    direction: np.ndarray,
    loss: float,
    gradient: np.ndarray,
    slope: Slope,
    most: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
) -> tuple[float, np.ndarray, float, int]:
    """The loss, gradient and length of a step that satisfies the strong Wolfe conditions, and how many evaluations it took.
    The best one seen, if ``most`` more do not find any."""

    def at(length: float) -> _Point:
        value, found = evaluate(_moved(x, length, direction))
        return _Point(length, value, found, found @ direction)

    start, reach = _Point(0.0, loss, gradient, slope), _largest(direction)
    previous, new, count, done = start, at(length), 0, False
    bracket = [start, new]
    while count < most:
        if new.loss > loss + c1 * new.length * slope or (count > 1 and new.loss >= previous.loss) or new.slope >= 0:
            small = abs(new.slope) <= -c2 * slope
            rising = new.loss > loss + c1 * new.length * slope or (count > 1 and new.loss >= previous.loss)
            bracket, done = ([new], True) if small and not rising else ([previous, new], False)
            break
        if abs(new.slope) <= -c2 * slope:
            bracket, done = [new], True
            break
        bounds = (new.length + 0.01 * (new.length - previous.length), new.length * 10)
        length = _interpolated(previous.length, previous.loss, previous.slope, new.length, new.loss, new.slope, bounds)
        previous, new, count = new, at(length), count + 1
    if count == most:
        bracket = [start, new]
    evaluations, stalled = count + 1, False
    low, high = (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)
    while not done and count < most:
        one, two = bracket
        if abs(two.length - one.length) * reach < tolerance:
            break
        length = _interpolated(one.length, one.loss, one.slope, two.length, two.loss, two.slope)
        least, largest = min(one.length, two.length), max(one.length, two.length)
        margin = 0.1 * (largest - least)
        if min(largest - length, length - least) < margin:
            outside = length >= largest or length <= least
            if stalled or outside:
                length = largest - margin if abs(length - largest) < abs(length - least) else least + margin
            stalled = not (stalled or outside)
        else:
            stalled = False
        new = at(length)
        evaluations, count = evaluations + 1, count + 1
        if new.loss > loss + c1 * new.length * slope or new.loss >= bracket[low].loss:
            bracket[high] = new
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
        else:
            if abs(new.slope) <= -c2 * slope:
                done = True
            elif new.slope * (bracket[high].length - bracket[low].length) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
    best = bracket[low] if len(bracket) > 1 else bracket[0]
    return best.loss, best.gradient, best.length, evaluations
