"""Mirrors pytorch_impl.models; differs: backbones are native cells, whose states are two-dimensional, ``(batch * seq,
hidden)``; a module may say what of a configuration it does not have, ``unsupported(config)``."""

from common.members import extended_path

__path__ = extended_path(__path__, __name__)
