"""What optuna decides, as functions of the trials that are known: the same ones give the same decision, whenever and
wherever it is made.

A sampler that is kept would depend on how often it was asked. Here every decision makes one anew, seeded by the number
of the trial, on a study in memory that holds the known trials.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from common.errors import InputError
from common.studies.search.space import Dimension, SearchSection

__all__ = ["COMPLETE", "FAILED", "PRUNED", "Trial", "best", "prune", "require", "suggest"]

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
_EXTRA = "A search needs optuna, which is not installed. Install it: pip install 'twinlora[search]'."


@dataclass
class Trial:
    """One trial: what was chosen, and what came of it."""

    number: int
    parameters: dict[str, Any]  #: entry of the space to value
    id: str  #: of its run
    state: str | None = None  #: None: it has not ended
    value: float | None = None  #: of the objective, where it is complete
    values: list[tuple[int, float]] = field(default_factory=list)  #: (optimizer step, value) of every evaluation


def require() -> Any:
    """The package optuna, saying nothing but warnings.

    Raises:
        InputError: it is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise InputError(_EXTRA)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def suggest(
    search: SearchSection, space: Sequence[Dimension], higher: bool, known: Sequence[Trial], number: int
) -> dict[str, Any]:
    """The parameters of trial ``number``, from the trials that are ``known``."""
    optuna = require()
    seed = int.from_bytes(hashlib.sha256(f"{search.seed}|{number}".encode()).digest()[:4], "little")
    if search.sampler == "random":
        sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.startup_trials)
    study = _study(optuna, space, higher, known, sampler=sampler)
    return dict(study.ask({dimension.name: _distribution(optuna, dimension) for dimension in space}).params)


def prune(
    search: SearchSection,
    space: Sequence[Dimension],
    higher: bool,
    known: Sequence[Trial],
    values: Sequence[tuple[int, float]],
) -> bool:
    """Whether a trial with these ``values`` so far is ended after the last of them."""
    if search.prune is None or not values:
        return False
    optuna = require()
    pruner = optuna.pruners.MedianPruner(search.prune.startup_trials, search.prune.warmup_steps)
    study = _study(optuna, space, higher, known, pruner=pruner)
    trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, intermediate_values=dict(values))
    return bool(pruner.prune(study, trial))


def best(trials: Sequence[Trial], higher: bool) -> Trial | None:
    """The complete trial with the best value, of equal ones the earliest; None where none is complete."""
    complete = [(trial.value, trial) for trial in trials if trial.state == COMPLETE and trial.value is not None]
    if not complete:
        return None
    return max(complete, key=lambda pair: (pair[0] if higher else -pair[0], -pair[1].number))[1]


def frozen(optuna: Any, space: Sequence[Dimension], trial: Trial) -> Any:
    """A trial that has ended, as optuna stores it."""
    states = optuna.trial.TrialState
    state = {COMPLETE: states.COMPLETE, PRUNED: states.PRUNED}.get(trial.state or FAILED, states.FAIL)
    return optuna.trial.create_trial(
        state=state,
        params=trial.parameters,
        distributions={dimension.name: _distribution(optuna, dimension) for dimension in space},
        intermediate_values=dict(trial.values),
        value=trial.value if trial.state == COMPLETE else None,
        user_attrs={"run": trial.id},
    )


def _study(optuna: Any, space: Sequence[Dimension], higher: bool, known: Sequence[Trial], **given: Any) -> Any:
    study = optuna.create_study(direction="maximize" if higher else "minimize", **given)
    study.add_trials([frozen(optuna, space, trial) for trial in known])
    return study


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    if dimension.choices:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    assert dimension.low is not None
    assert dimension.high is not None
    whole = all(isinstance(one, int) for one in (dimension.low, dimension.high, dimension.step or 1))
    if whole:
        return optuna.distributions.IntDistribution(
            dimension.low, dimension.high, log=dimension.log, step=dimension.step or 1
        )
    return optuna.distributions.FloatDistribution(
        float(dimension.low), float(dimension.high), log=dimension.log, step=dimension.step
    )
