"""Model families: one module each, found by file name. Others of ``transformers`` are `common.models.foreign`."""

from common.members import extended_path

__path__ = extended_path(__path__, __name__)
