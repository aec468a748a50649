"""Layers that replace modules of a family's network (structural edits): one module each, found by file name. The
backends have a layer of the same name."""

from common.members import Members, extended_path
from common.models.layers.layer import Layer

__all__ = ["LAYERS", "Layer"]

__path__ = extended_path(__path__, __name__)
LAYERS: Members[Layer] = Members("common.models.layers", Layer, "layer", "_", "layer")
