"""When what happens: the learning rate of every step, the number of steps, and the steps after which the model is
evaluated."""

from __future__ import annotations

import math

from common.config.schema import OptimizationConfig, TrainingConfig

__all__ = ["evaluation_due", "learning_rate", "total_steps", "warmup_remark", "warmup_steps"]


def learning_rate(step: int, total: int, warmup: int, settings: OptimizationConfig, steps_per_epoch: int) -> float:
    """Learning rate of optimizer step ``step``, counted from 1; the same numbers as ``transformers.get_scheduler``
    gives its steps, where that has the schedule.

    During warm-up the rate is ``learning_rate * (step - 1) / warmup``. Then, with p the share of the remaining steps
    already done and f the final rate: linear ``f + (lr - f)(1 - p)``, polynomial ``f + (lr - f)(1 - p)^power``, cosine
    ``f + (lr - f)(1 + cos(pi p)) / 2``. Without a final rate, with e the epochs done: inverse_sqrt
    ``lr sqrt(warmup / (step - 1))`` (Vaswani et al. 2017, section 5.3), inverse_epochs ``lr / (1 + decay floor(e))``
    (Ma and Hovy 2016, section 3.2), halving ``lr / 2^n``, n being 0 before ``halve_after`` epochs, 1 from then on, and
    one more after every further ``halve_every`` (Sutskever et al. 2014, section 3.4).
    """
    done = step - 1
    peak, final = settings.learning_rate, settings.final_learning_rate
    if done < warmup:
        return peak * done / warmup
    if settings.schedule == "constant":
        return peak
    if settings.schedule == "inverse_sqrt":
        return peak * math.sqrt(warmup / done)
    if settings.schedule == "inverse_epochs":
        assert settings.decay is not None  # `common.config.rules`
        return peak / (1.0 + settings.decay * (done // steps_per_epoch))
    if settings.schedule == "halving":
        assert settings.halve_after is not None  # `common.config.rules`
        assert settings.halve_every is not None
        over = done / steps_per_epoch - settings.halve_after
        return peak * 0.5 ** max(0, 1 + math.floor(round(over / settings.halve_every, 6)))
    left = 1.0 - min(1.0, (done - warmup) / max(1, total - warmup))
    if settings.schedule == "cosine":
        left = 0.5 * (1.0 - math.cos(math.pi * left))
    elif settings.schedule == "polynomial":
        left = left**settings.power
    return final + (peak - final) * left


def total_steps(settings: TrainingConfig, steps_per_epoch: int) -> int:
    """Optimizer steps of the whole run: ``epochs`` rounded up to a step, or ``max_steps`` if that is less."""
    steps = math.ceil(
        round(settings.epochs * steps_per_epoch, 6)
    )  # 0.1 epochs of 30 steps are 3 steps in spite of binary fractions
    return min(steps, settings.max_steps) if settings.max_steps is not None else steps


def warmup_steps(settings: OptimizationConfig, total: int) -> int:
    """Steps of warm-up, from either form; a ratio is rounded up to a step, of which one above 0 is one at least."""
    if settings.warmup_ratio is not None:
        return max(math.ceil(round(settings.warmup_ratio * total, 6)), settings.warmup_ratio > 0)
    return settings.warmup_steps or 0


def warmup_remark(warmup: int, total: int) -> str | None:
    """What to say of a warm-up that leaves no step at the full learning rate."""
    if warmup < total:
        return None
    return (
        f"The warm-up of {warmup:,} steps is as long as the training of {total:,} or longer, so that the learning rate is never "
        "reached. Shorten optimization.warmup_steps or warmup_ratio, or train longer."
    )


def evaluation_due(step: int, total: int, settings: TrainingConfig, steps_per_epoch: int) -> bool:
    """Whether the model is evaluated after ``step``: before the first step (0), at the chosen interval, and at the
    end."""
    if step in (0, total):
        return True
    if settings.evaluate_every_steps is not None:
        return step % settings.evaluate_every_steps == 0
    assert settings.evaluate_every_epochs is not None  # one of the two is given
    interval = settings.evaluate_every_epochs * steps_per_epoch
    return round(max(1, round(step / interval)) * interval) == step
