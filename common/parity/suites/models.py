"""Whole models: every hidden state, logits, loss, and the gradient of every trained parameter by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from common.methods import full, lora
from common.parity.cases import Arrays, Case, Host
from common.parity.suites.subjects import Subject, drawn, methods, of_experiment, pairs, settings_of

__all__ = ["cases", "of_member"]

_USUAL = (lora.MEMBER.name, full.MEMBER.name)


def cases(options: Mapping[str, Any]) -> tuple[Case, ...]:
    """Every family with its tasks, adapted by LoRA and fully trained; with ``config`` the user's model on its first
    batch instead."""
    config = options.get("config")
    if config is not None:
        make = partial(of_experiment, config, 1, dropout=False, published_start=False)
        return (_case(config.name, make, f", {settings_of(config)}"),)
    return tuple(
        of_member(family, task, method) for family, task in pairs() for method in _USUAL if method in methods(family)
    )


def of_member(family: str, task: str, method: str, transform: str | None = None) -> Case:
    """One family with one task, trained by one method; after one transform, where it is given."""
    name = "/".join(filter(None, (family, task, method, transform)))
    return _case(name, lambda: drawn(family, task, methods(family)[method], transform=transform))


def _case(name: str, make: Callable[[], Subject], settings: str = "") -> Case:
    subject = cache(make)

    def compute(host: Host, arrays: Arrays) -> tuple[Arrays, dict[str, str]]:
        model, engine = subject().engine(host)
        batch = subject().steps[0][0]
        found = host.parity.forward(model, batch)
        result = engine.eval_step(batch)
        found["loss"] = np.array(result.loss_sum / result.count, np.float64 if host.double else np.float32)
        return found | {f"gradient/{name}": gradient for name, gradient in engine.gradients([batch]).items()}, {}

    return Case(
        f"models/{name}",
        "model",
        lambda: subject().inputs(),
        compute,
        definition=f"hidden states, logits, loss, gradients{settings}",
    )
