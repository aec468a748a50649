"""The contract between `common` and a backend, and the loader that finds a backend by name."""

from common.backend.batch import IGNORE, Array, Batch, BatchSchema, Field
from common.backend.contract import FAST_PATHS, Decoder, Engine, EngineSettings, EvalResult, StepHandle, Translator
from common.backend.loader import BACKENDS, available, load, require

__all__ = [
    "BACKENDS",
    "FAST_PATHS",
    "IGNORE",
    "Array",
    "Batch",
    "BatchSchema",
    "Decoder",
    "Engine",
    "EngineSettings",
    "EvalResult",
    "Field",
    "StepHandle",
    "Translator",
    "available",
    "load",
    "require",
]
