"""Experiment configuration: the schema, and the reading and writing of YAML files."""

from common.config.load import (
    CONFIG_DIRECTORY,
    adaptation_options,
    find_config,
    from_yaml,
    load_config,
    optimization_options,
    to_plain,
    to_yaml,
)
from common.config.schema import (
    DataConfig,
    ExperimentConfig,
    ModelConfig,
    OptimizationConfig,
    TrainingConfig,
)

__all__ = [
    "CONFIG_DIRECTORY",
    "DataConfig",
    "ExperimentConfig",
    "ModelConfig",
    "OptimizationConfig",
    "TrainingConfig",
    "adaptation_options",
    "find_config",
    "from_yaml",
    "load_config",
    "optimization_options",
    "to_plain",
    "to_yaml",
]
