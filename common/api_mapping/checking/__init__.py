"""Compares a network with its converted form: the same weights and inputs, outputs, gradients and steps."""

from __future__ import annotations

from common.api_mapping.checking.compare import LIMIT, Comparison, table, to_json
from common.api_mapping.checking.run import check

__all__ = ["LIMIT", "Comparison", "check", "table", "to_json"]
