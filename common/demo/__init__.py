"""The demonstration: LoRA in every installed framework, on text that every Python carries."""

from common.demo.experiments import Steps
from common.demo.run import run_demo

__all__ = ["Steps", "run_demo"]
