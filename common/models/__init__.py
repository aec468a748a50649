"""Models as data: what is in them, where their weights come from, and the checkpoints they are written to."""

from common.members import Members
from common.models.family import Family

__all__ = ["FAMILIES", "Family"]

FAMILIES: Members[Family] = Members("common.models.families", Family, "model.config.model_type", "-", "family")
