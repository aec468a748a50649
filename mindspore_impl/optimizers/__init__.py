"""Mirrors pytorch_impl.optimizers; update rules of optimizers, one module each: ``rule(options)``."""

from common.members import extended_path

__path__ = extended_path(__path__, __name__)
