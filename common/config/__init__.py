"""Experiment configuration: the schema, and the reading and writing of YAML files."""

from common.config.load import CONFIG_DIRECTORY, find_config, from_yaml, load_config, to_plain, to_yaml
from common.config.schema import (
    AdaptationConfig,
    DataConfig,
    ExperimentConfig,
    ModelConfig,
    OptimizationConfig,
    TargetConfig,
    TrainingConfig,
)

__all__ = [
    "CONFIG_DIRECTORY",
    "AdaptationConfig",
    "DataConfig",
    "ExperimentConfig",
    "ModelConfig",
    "OptimizationConfig",
    "TargetConfig",
    "TrainingConfig",
    "find_config",
    "from_yaml",
    "load_config",
    "to_plain",
    "to_yaml",
]
