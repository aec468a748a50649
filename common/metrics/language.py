"""Loss and perplexity: means over *scored* tokens.

In packed text every token of the split but its first is scored, end-of-text tokens included; in completions the tokens
of the text and its end, none of the prompt. Both are per token of the tokenizer used, so they compare only between
models that share it; perplexity per word compares between all models (`common.metrics.perplexity`).
"""

from __future__ import annotations

import math

import numpy as np

from common.errors import InputError, RunError

__all__ = ["LANGUAGE", "language_metrics", "mean_loss"]

LANGUAGE = {"loss": False, "perplexity": False}  #: name to whether higher is better


def language_metrics(loss_sum: float, count: int) -> dict[str, float]:
    """Mean loss over ``count`` scored tokens and its exponential, the perplexity.

    Raises:
        RunError: the loss or the perplexity is not finite.
        InputError: no token was scored.
    """
    if count < 1:
        raise InputError(f"Loss and perplexity need at least one scored token; received {count}.")
    loss = float(loss_sum) / count
    if not loss < math.log(np.finfo(np.float64).max):  # also false for NaN
        raise RunError(
            f"The mean loss must be finite and its exponential too; it is {loss}. Lower the learning rate or use fp32."
        )
    return {"loss": loss, "perplexity": math.exp(loss)}


def mean_loss(loss_sum: float, count: int) -> float:
    """Loss over ``count`` targets.

    Raises:
        RunError: it is not finite.
        InputError: there is no target.
    """
    if count < 1:
        raise InputError(f"A loss needs at least one target; received {count}.")
    loss = float(loss_sum) / count
    if not math.isfinite(loss):
        raise RunError(f"The mean loss must be finite; it is {loss}. Lower the learning rate or use fp32.")
    return loss
