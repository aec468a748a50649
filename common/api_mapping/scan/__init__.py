"""Reads PyTorch source, without running it, and says call by call what MindSpore has for it on this machine."""

from __future__ import annotations

from common.api_mapping.scan.findings import CATEGORIES, Finding, Report, scan
from common.api_mapping.scan.formats import FORMATS, render

__all__ = ["CATEGORIES", "FORMATS", "Finding", "Report", "render", "scan"]
