"""Experiment trackers, found by file name: a module binds ``MEMBER`` to a `Tracker`. None is imported before it is asked
for, and a plugin adds one as it adds members of the axes.
"""

from common.members import Members, extended_path
from common.trackers.tracker import Tracker

__path__ = extended_path(__path__, __name__)
HELPERS = ("feeding",)  #: modules that are no members

TRACKERS = Members("common.trackers", Tracker, "training.trackers", "-", "tracker")

__all__ = ["TRACKERS", "Tracker"]
