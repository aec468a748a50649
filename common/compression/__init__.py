"""Transforms of trained models (compression): one module each, found by file name."""

from common.compression.transform import Transform, TransformOptions
from common.members import Members, extended_path

__all__ = ["TRANSFORMS", "Transform", "TransformOptions"]

__path__ = extended_path(__path__, __name__)
HELPERS = (
    "behaviour",
    "compress",
    "importance",
    "low_rank",
    "matrices",
    "narrow",
    "report",
    "spectrum",
)  #: modules beside the members
TRANSFORMS: Members[Transform] = Members("common.compression", Transform, "The transform", "_", "transform")
