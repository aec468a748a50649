"""Mirrors pytorch_impl.tasks."""

from common.members import extended_path

__path__ = extended_path(__path__, __name__)
