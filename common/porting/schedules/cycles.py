"""Schedules that go up and down, of the rate and the momentum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from common.porting.schedules.base import LRScheduler, each

__all__ = ["CyclicLR", "OneCycleLR"]


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def _straight(start: float, end: float, share: float) -> float:
    return (end - start) * share + start


class _Momentum(LRScheduler):
    """Schedules that move the momentum against the rate."""

    def _momentum_name(self) -> str:
        return "betas" if "betas" in self.optimizer.param_groups[0] else "momentum"

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self._momentum_name() == "betas":
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class OneCycleLR(_Momentum):
    """Up to ``max_lr`` and down to almost nothing, once (Smith and Topin 2018)."""

    def __init__(
        self,
        optimizer: Any,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        self.optimizer = optimizer
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        self.total_steps = total_steps if total_steps is not None else epochs * steps_per_epoch  # type: ignore[operator]
        if self.total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {self.total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        last, peak = self.total_steps - 1, float(pct_start * self.total_steps) - 1
        low, high = ("initial_lr", "max_momentum"), ("max_lr", "base_momentum")
        if three_phase:
            down = float(2 * pct_start * self.total_steps) - 2
            self._phases = [(peak, low, high), (down, high, low), (last, low, ("min_lr", "max_momentum"))]
        else:
            self._phases = [(peak, low, high), (last, high, ("min_lr", "max_momentum"))]
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = cycle_momentum
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, each("max_lr", optimizer, max_lr), strict=True):
                group["initial_lr"], group["max_lr"] = top / div_factor, top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
                raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
            pairs = zip(
                each("base_momentum", optimizer, base_momentum),
                each("max_momentum", optimizer, max_momentum),
                strict=True,
            )
            if last_epoch == -1:
                for group, (least, most) in zip(optimizer.param_groups, pairs, strict=True):
                    self._set_momentum(group, most)
                    group["max_momentum"], group["base_momentum"] = most, least
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times. The specified number of total steps is {self.total_steps}")
        between = _cosine if self._anneal_func_type == "cos" else _straight
        rates = []
        for group in self.optimizer.param_groups:
            start = 0.0
            for number, (end, first, last) in enumerate(self._phases):
                if step <= end or number == len(self._phases) - 1:
                    share = (step - start) / (end - start)
                    rate, momentum = (
                        between(group[a], group[b], share) if a in group else 0.0
                        for a, b in zip(first, last, strict=True)
                    )
                    break
                start = end
            rates.append(rate)
            if self.cycle_momentum:
                self._set_momentum(group, momentum)
        return rates


class CyclicLR(_Momentum):
    """Up and down between two rates (Smith 2017)."""

    def __init__(
        self,
        optimizer: Any,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ):
        self.optimizer = optimizer
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        if last_epoch == -1:
            for group, low in zip(optimizer.param_groups, each("base_lr", optimizer, base_lr), strict=True):
                group["lr"] = low
        self.max_lrs = each("max_lr", optimizer, max_lr)
        self.total_size = float(step_size_up) + float(step_size_down if step_size_down is not None else step_size_up)
        self.step_ratio = float(step_size_up) / self.total_size
        self.mode, self.gamma, self.cycle_momentum = mode, gamma, cycle_momentum
        self._scale_fn, self.scale_mode = scale_fn, scale_mode if scale_fn or mode != "exp_range" else "iterations"
        if cycle_momentum:
            if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
                raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
            self.base_momentums = each("base_momentum", optimizer, base_momentum)
            self.max_momentums = each("max_momentum", optimizer, max_momentum)
            for group, least, most in zip(optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True):
                self._set_momentum(group, most)
                group["max_momentum"], group["base_momentum"] = most, least
        super().__init__(optimizer, last_epoch)
        self.base_lrs = each("base_lr", optimizer, base_lr)

    def scale_fn(self, x: float) -> float:
        """The share of the way up in a cycle or step."""
        if self._scale_fn is not None:
            return self._scale_fn(x)
        if self.mode == "triangular":
            return 1.0
        return 1 / (2.0 ** (x - 1)) if self.mode == "triangular2" else self.gamma**x

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        share = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        rates = [low + (high - low) * share * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
            ):
                self._set_momentum(group, high - (high - low) * share * scale)
        return rates
