"""What a search has come to, for people and programs: ``search.json``, and optuna's own storage in SQLite.

Both are written from the runs and never read to decide anything: a search continues from its run directories.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.studies.search.decisions import Trial, frozen, require
from common.studies.search.space import Dimension

__all__ = ["plain_trial", "store"]


def plain_trial(trial: Trial) -> dict[str, Any]:
    """A trial for ``search.json``."""
    return {
        "number": trial.number,
        "id": trial.id,
        "parameters": trial.parameters,
        "state": trial.state,
        "value": trial.value,
        "step": trial.values[-1][0] if trial.values else None,
        "values": [list(pair) for pair in trial.values],
    }


def store(path: Path, name: str, higher: bool, space: Sequence[Dimension], trials: Sequence[Trial]) -> None:
    """Have the trials that have ended, up to the first that has not, in the study ``name`` of the SQLite file ``path``.

    What is there already stays, unless it is of another search.
    """
    optuna = require()
    ended: list[Trial] = []
    for trial in trials:
        if trial.state is None:
            break
        ended.append(trial)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    direction = "maximize" if higher else "minimize"
    study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
    there = study.get_trials(deepcopy=False)
    fits = len(there) <= len(ended) and all(
        (old.user_attrs.get("run"), old.params) == (new.id, new.parameters)
        for old, new in zip(there, ended, strict=False)
    )
    if not fits:
        optuna.delete_study(study_name=name, storage=storage)
        study = optuna.create_study(storage=storage, study_name=name, direction=direction)
        there = []
    study.add_trials([frozen(optuna, space, trial) for trial in ended[len(there) :]])
    storage.engine.dispose()
