"""MLflow: the server of ``MLFLOW_TRACKING_URI``, or files in ``RUN/trackers/mlflow``."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from common.trackers.tracker import Opening, Tracker

__all__ = ["MEMBER"]

_LONGEST = 500  #: characters of a parameter


class _Session:
    def __init__(self, opening: Opening):
        from mlflow.tracking import MlflowClient

        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # which recent versions ask for
            uri = (opening.folder / MEMBER.name).absolute().as_uri()
        self._client = MlflowClient(uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "twinlora"
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        self._run = self._client.create_run(experiment, run_name=f"{opening.name}-{opening.backend}").info.run_id
        for key, value in opening.settings.items():
            self._client.log_param(self._run, key, str(value)[:_LONGEST])

    def log(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._client.log_batch(
            self._run, metrics=[Metric(name, float(value), now, step) for name, value in values.items()]
        )

    def finish(self, summary: Mapping[str, float], failed: bool) -> None:
        self.log(0, summary)
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


class _MLflow(Tracker):
    name = "mlflow"
    module = "mlflow"

    def open(self, opening: Opening) -> Any:
        """A run of the experiment ``twinlora``, or of that of ``MLFLOW_EXPERIMENT_NAME``."""
        return _Session(opening)


MEMBER = _MLflow()
