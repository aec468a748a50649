"""Training: the loss and gradient norm of every step, every trained tensor after each of the first steps and after the
last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from common.methods import lora
from common.parity.cases import Arrays, Case, Host
from common.parity.suites.subjects import Subject, drawn, methods, of_experiment, pairs, settings_of

__all__ = ["cases"]

STEPS = 30  #: of the small networks
WATCHED = 3  #: steps after which every trained tensor is kept
FIRST = 50  #: steps of which the losses are held to the stricter limit


def cases(options: Mapping[str, Any]) -> tuple[Case, ...]:
    """Small networks with dropout off and on; with ``config`` the user's experiment, off and, where it has any, on."""
    config, steps = options.get("config"), int(options.get("steps") or STEPS)
    if config is None:
        return tuple(
            _case(
                f"{family}/{task}/{'dropout' if p else 'plain'}",
                partial(_drawn, family, task, steps, p),
                lambda step: 1e-2,
                "AdamW",
            )
            for family, task in pairs()
            for p in (0.0, 0.1)
        )
    from common.training.schedule import learning_rate, warmup_steps

    def rate(step: int) -> float:
        warmup, epoch = warmup_steps(config.optimization, steps), max(1, round(steps / config.training.epochs))
        return learning_rate(step, steps, warmup, config.optimization, epoch)

    modes = {"plain": False, "dropout": True}
    return tuple(
        _case(f"{config.name}/{name}", partial(of_experiment, config, steps, dropout=on), rate, settings_of(config))
        for name, on in modes.items()
    )


def _drawn(family: str, task: str, steps: int, dropout: float) -> Subject:
    return drawn(family, task, methods(family)[lora.MEMBER.name], steps=steps, dropout=dropout)


def _case(name: str, make: Callable[[], Subject], rate: Callable[[int], float], settings: str) -> Case:
    subject = cache(make)

    def compute(host: Host, arrays: Arrays) -> tuple[Arrays, dict[str, str]]:
        model, engine = subject().engine(host)
        found: Arrays = {}
        handles = []
        for number, micro_batches in enumerate(subject().steps, start=1):
            handles.append(engine.train_step(micro_batches, rate(number)))
            if number <= WATCHED or number == len(subject().steps):
                role = f"parameter/step {number}" if number <= WATCHED else "final"
                found |= {
                    f"{role}/{name}": array
                    for name, array in host.parity.trained(model, subject().plan.shapes()).items()
                }
        dtype = np.float64 if host.double else np.float32
        losses, norms = np.array(
            [(loss / handle.count, norm) for (loss, norm), handle in zip(engine.fetch(handles), handles, strict=True)],
            dtype,
        ).T
        return {"first": losses[:FIRST], "loss": losses, "norm": norms, **found}, {}

    return Case(
        f"training/{name}", "training", lambda: subject().inputs(), compute, definition=f"{settings}, watched {WATCHED}"
    )
