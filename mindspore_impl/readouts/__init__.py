"""Mirrors pytorch_impl.readouts; modules of heads that read all states of an encoder, one file each: ``readout(width,
arguments)``."""

from common.members import extended_path

__path__ = extended_path(__path__, __name__)
