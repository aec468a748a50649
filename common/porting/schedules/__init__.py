"""torch's learning rate schedules: arithmetic on ``optimizer.param_groups``, for any optimizer that has these.

The rates are computed as in torch, most of them from the last rate, so that other changes of a rate are kept; a test
compares both.
"""

from __future__ import annotations

from common.porting.schedules.base import LRScheduler
from common.porting.schedules.composed import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from common.porting.schedules.cycles import CyclicLR, OneCycleLR
from common.porting.schedules.epochs import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "LRScheduler", "LambdaLR",
    "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip
