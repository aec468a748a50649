"""Planning a study for a cluster: the plan is written here, the runs are made elsewhere."""

from __future__ import annotations

import argparse
from typing import Any

from common.errors import InputError
from common.studies import options
from common.studies.layout import StudyDirectory
from common.studies.outcome import ENDED
from common.studies.run import Options, Study
from common.studies.working import planned_points
from common.training.lock import locked

__all__ = ["planned_study"]


def planned_study(args: argparse.Namespace) -> tuple[StudyDirectory, list[dict[str, Any]]]:
    """Plan what the arguments describe; the directory, and the points that are left and fit the filters.

    Raises:
        InputError: the study is wrong or a search, or nothing is left.
    """
    definition, output = options.definition(args)
    study = Study(definition, output, Options(filters=options.filters(args)))
    with locked(study.directory.path):
        study.directory.stop.unlink(missing_ok=True)
        study.write()
    chosen = {one.id for one in study.todo()}
    points = [point for point in planned_points(study.directory) if point["id"] in chosen]
    left = [point for point in points if study.directory.state(point) not in ENDED]
    if not left:
        raise InputError(f"{study.directory.path} has no run left that fits; `twinlora study status` lists all.")
    return study.directory, left
