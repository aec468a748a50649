"""What is trained and how: targets, the plan, starting values, merging, and PEFT's adapter format."""

from common.adaptation.coverage import coverage_table, partial_coverage
from common.adaptation.initial import initial_values
from common.adaptation.merge import merge_arrays
from common.adaptation.plan import LoraArguments, Plan, PlanStep
from common.adaptation.targets import resolve

__all__ = [
    "LoraArguments",
    "Plan",
    "PlanStep",
    "coverage_table",
    "initial_values",
    "merge_arrays",
    "partial_coverage",
    "resolve",
]
