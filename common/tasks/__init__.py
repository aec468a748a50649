"""Tasks: what is read, encoded, predicted and measured. One module each, found by file name."""

from common.members import Members, extended_path
from common.tasks.task import Task

__all__ = ["TASKS", "Task"]

__path__ = extended_path(__path__, __name__)
HELPERS = ("collecting", "example", "texts")  #: modules beside the members
TASKS: Members[Task] = Members("common.tasks", Task, "model.task", "-", "task")
