"""Layers. Those that edits name (`common.edits.Edit.layer`) have a function ``build(module, edit, values)``."""

from common.members import extended_path

__path__ = extended_path(__path__, __name__)
