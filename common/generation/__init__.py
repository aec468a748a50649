"""Text from causal language models: how the next token is chosen, when a text ends. The networks are behind
`Decoder`."""

from common.generation.options import GenerationOptions
from common.generation.texts import Generated, generate

__all__ = ["Generated", "GenerationOptions", "generate"]
