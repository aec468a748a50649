"""Heads that may stand on every encoder in the place of its own: one module each, found by file name."""

from common.members import Members, extended_path
from common.readouts.readout import Readout, ReadoutOptions

__all__ = ["READOUTS", "Readout", "ReadoutOptions"]

__path__ = extended_path(__path__, __name__)
READOUTS: Members[Readout] = Members("common.readouts", Readout, "model.task_options.head", "_", "readout")
