"""Tasks: what is read, encoded, predicted and measured. One module each, found by file name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.members import Members, extended_path
from common.tasks.task import Task

if TYPE_CHECKING:
    from common.config.schema import ModelConfig

__all__ = ["TASKS", "Task", "configured"]

__path__ = extended_path(__path__, __name__)
HELPERS = ("collecting", "example", "texts")  #: modules beside the members
TASKS: Members[Task] = Members("common.tasks", Task, "model.task", "-", "task")


def configured(config: ModelConfig) -> Task:
    """The task of a model section, with its options."""
    return TASKS.get(config.task).configured(config.task_options)
