"""Trained models as files that run without a framework."""

from common.exporting.folder import digest_of, is_export, open_export

__all__ = ["digest_of", "is_export", "open_export"]
