"""Mirrors pytorch_impl.layers."""

from common.members import extended_path

__path__ = extended_path(__path__, __name__)
