"""A ModelArts training job for each point, made by the project's submitter."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from common.errors import InputError
from common.files import write_json
from common.resources import code_folder
from common.studies.layout import StudyDirectory

__all__ = ["JOBS", "write_jobs"]

JOBS = "modelarts"  #: folder of the study directory


def write_jobs(
    directory: StudyDirectory, points: Sequence[Mapping[str, Any]], study_url: str, arguments: Sequence[str]
) -> Path:
    """Write ``modelarts/<id>.json``, the request of a job, for every point.

    Args:
        study_url: place in the bucket: the configurations are read from its ``configs``, the runs are written to its
            ``runs/<id>``.
        arguments: further ones of ``scripts/modelarts/submit.py``, the same for all jobs.

    Raises:
        InputError: a job is wrong, or this is no checkout with the submitter.
    """
    submitter = _submitter()
    url = study_url.rstrip("/")
    for point in points:
        own = ["--name", f"{directory.path.name}-{point['id']}", "--config", f"{url}/{point['config']}"]
        own += ["--backend", point["backend"], "--run-id", point["id"], "--train-url", f"{url}/runs/"]
        try:
            with contextlib.redirect_stderr(io.StringIO()) as said:
                job = submitter.request([*own, *arguments])
        except SystemExit as error:  # argparse
            reason = said.getvalue().strip().splitlines()[-1:]
            raise InputError(f"--job takes options of scripts/modelarts/submit.py; {' '.join(reason)}") from error
        write_json(directory.path / JOBS / f"{point['id']}.json", job)
    return directory.path / JOBS


def _submitter() -> ModuleType:
    file = code_folder() / "scripts" / "modelarts" / "submit.py"
    if not file.is_file():
        raise InputError(
            f"Jobs of ModelArts are made by scripts/modelarts/submit.py of a checkout; {file} is not there."
        )
    spec = importlib.util.spec_from_file_location("twinlora_submit", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
