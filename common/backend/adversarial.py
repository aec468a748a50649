"""Scale-invariant fine-tuning (He et al. 2021, DeBERTa, section 5): a small perturbation of the embeddings that changes
the outputs most, and a term of the loss that keeps the outputs together. The section ``training.adversarial``.

With e the summed embeddings before their norm, n(e) = (e - mean) / sqrt(variance + 1e-7) over the width, f(x) the outputs
and f(x, d) those with n(e) + d in the place of e,

    d_0   a normal variable of deviation ``initial``, clipped at two of them: a function of (seed, step, micro-batch)
    g     the gradient of D(f(x, d_0), f(x)) by d_0
    d     d_0 + ``learning_rate`` * g / (1e-6 + the largest \\|g\\| of the position)
    loss  the task's + ``weight`` * the mean over the examples of D(f(x, d), f(x))

D is the symmetric Kullback-Leibler divergence, in whose gradient the probabilities that weigh the logarithms are
constants, as in the authors' program; of a single number it is the squared difference, since their program's, a
divergence of one class, is always 0. As there, no gradient flows into the embeddings through f(x, d). Differences: their
program also normalizes e in f(x), which the norm behind makes nearly the same, and uses other dropout masks in every
pass; here all passes of a micro-batch have the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.random import normal

__all__ = ["EPSILON", "LEAST", "Adversarial", "initial_perturbation"]

EPSILON = 1e-7  #: of n
LEAST = 1e-6  #: added to the largest gradient


@dataclass(frozen=True)
class Adversarial:
    """Defaults are those of the published experiments."""

    method: Literal["none", "sift"] = "none"
    weight: float = 5.0  #: of the second term of the loss
    learning_rate: float = 1e-4  #: by which a perturbation grows
    initial: float = 1e-2  #: deviation of the perturbation that the gradient is taken at

    def problems(self) -> Iterator[tuple[str, str]]:
        """Settings without a method."""
        if self.method == "none" and self != Adversarial():
            yield "method", "must be sift where other entries of training.adversarial are given"


def initial_perturbation(
    wanted: Adversarial, seed: int, step: int, micro_batch: int, shape: tuple[int, ...]
) -> np.ndarray:
    """d_0, float32 of ``shape`` ``(batch, seq, width)``."""
    found = normal(seed, f"perturbation.{step}.{micro_batch}", shape, wanted.initial)
    return np.clip(found, -2 * wanted.initial, 2 * wanted.initial).astype(np.float32)
