"""Models as data: what is in them, where their weights come from, and the checkpoints they are written to."""

from common.models.checkpoint import save_pretrained
from common.models.loading import FAMILIES, load_model_spec
from common.models.specs import ModelSpec, ModuleSpec

__all__ = ["FAMILIES", "ModelSpec", "ModuleSpec", "load_model_spec", "save_pretrained"]
