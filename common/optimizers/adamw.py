"""AdamW (Loshchilov and Hutter 2019, algorithm 2): Adam with decoupled weight decay."""

from __future__ import annotations

from dataclasses import dataclass

from common.optimizers.adam import Adam, AdamOptions

__all__ = ["MEMBER", "AdamW"]


@dataclass(frozen=True)
class AdamWOptions(AdamOptions):
    """Those of Adam."""


class AdamW(Adam):
    """p = p (1 - lr decay) - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)."""

    name = "adamw"
    Options = AdamWOptions
    decoupled = True


MEMBER = AdamW()
