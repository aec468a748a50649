"""Trained models as files that run without a framework."""

from common.exporting.folder import is_export, open_export

__all__ = ["is_export", "open_export"]
