"""Where the runs of a study are executed; members are found by file name (`common.members`)."""

from common.members import Members, extended_path
from common.studies.executors.executor import Executor

__all__ = ["EXECUTORS"]

__path__ = extended_path(__path__, __name__)

EXECUTORS = Members("common.studies.executors", Executor, "--executor", "-", "executor")  #: every executor
