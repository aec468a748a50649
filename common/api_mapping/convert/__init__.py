"""Rewrites PyTorch source for MindSpore, and marks what a person has to look at."""

from __future__ import annotations

from common.api_mapping.convert.files import STYLES, Converted, convert, convert_text, fix
from common.api_mapping.convert.renaming import parse_renames
from common.api_mapping.convert.reporting import dumps, report

__all__ = ["STYLES", "Converted", "convert", "convert_text", "dumps", "fix", "parse_renames", "report"]
