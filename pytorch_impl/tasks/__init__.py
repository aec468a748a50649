"""Losses of tasks, one module each: ``loss(network, inputs, differentiable)``."""

from common.members import extended_path

__path__ = extended_path(__path__, __name__)
