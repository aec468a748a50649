"""Backbones of model families, one module each; every other `transformers` model goes through `hf_bridge.foreign`.

A module has ``backbone(config)``, ``states(backbone, inputs)`` and ``hidden_states(backbone, inputs)``; where a cheaper
way to the first position's states exists, also ``first_states(backbone, inputs)``.
"""

from common.members import extended_path

__path__ = extended_path(__path__, __name__)
