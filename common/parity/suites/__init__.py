"""The suites by name. Each is built from its options alone, so that every host builds the same one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from common.errors import InputError, nearest
from common.parity.cases import Arrays, Case, Host, Suite, draw_of
from common.parity.suites import layers, members, models, ops, recorded, training

__all__ = ["LEVELS", "SUITES", "build"]

LEVELS = ("ops", "layers", "models", "training")
SUITES: Mapping[str, Callable[[Mapping[str, Any]], tuple]] = {
    "ops": ops.cases,
    "layers": layers.cases,
    "models": models.cases,
    "training": training.cases,
    "members": members.cases,
    "recorded": recorded.cases,
}


#: what an option is called on the command line, and the suites that read it
_READERS = {
    "config": ("CONFIG", ("models", "training")),
    "steps": ("--steps", ("training",)),
    "log": ("--log", ("recorded",)),
}


def build(name: str, options: Mapping[str, Any]) -> Suite:
    """The suite called ``name``; ``all`` is the four levels one after the other.

    Args:
        options: ``only`` (patterns of case ids, separated by commas), ``config`` (an `ExperimentConfig`, for models and
            training), ``steps``, ``log`` (for recorded), ``draws`` (each case that many times, rounding at random).

    Raises:
        InputError: no such suite, an option that it does not read, or ``only`` fits no case of it.
    """
    if name != "all" and name not in SUITES:
        raise InputError(
            f"The suite must be one of {', '.join(SUITES)} or all; received {name!r}.{nearest(name, SUITES)}"
        )
    _refuse_unread(name, options)
    cases = tuple(case for level in (LEVELS if name == "all" else (name,)) for case in SUITES[level](options))
    only = options.get("only")
    if only:
        cases = tuple(case for case in cases if any(_fits(case.id, pattern) for pattern in only.split(",")))
        if not cases:
            raise InputError(
                f"The pattern {only!r} fits no case of the suite {name}. Case ids are like 'ops/torch.tanh/00' or 'models/bert'."
            )
    draws = options.get("draws") or 0
    if draws:
        cases = tuple(_at_random(case, number) for case in cases for number in range(draws))
    shown = {key: value for key, value in options.items() if isinstance(value, str | int) and value}
    return Suite(name, cases, shown)


def _fits(case: str, pattern: str) -> bool:
    return any(fnmatchcase(case, form) for form in (pattern, f"*/{pattern}", f"*/{pattern}/*"))


def _at_random(case: Case, number: int) -> Case:
    def compute(host: Host, arrays: Arrays) -> tuple[Arrays, dict[str, str]]:
        with host.parity.random_rounding(number):
            return case.compute(host, arrays)

    return replace(case, id=draw_of(case.id, number), compute=compute)


def _refuse_unread(name: str, options: Mapping[str, Any]) -> None:
    """Raise InputError for an option that the suite does not read: its agreement would say nothing of it."""
    levels = LEVELS if name == "all" else (name,)
    for option, (called, readers) in _READERS.items():
        if options.get(option) is not None and not set(readers) & set(levels):
            plural = "s" * (len(readers) > 1)
            raise InputError(
                f"{called} is read by the suite{plural} {', '.join(readers)}; {name} does not read it. Leave it out, or "
                "record another suite."
            )
    steps = options.get("steps")
    if steps is not None and int(steps) < 1:
        raise InputError(f"--steps must be at least 1; received {steps}.")
