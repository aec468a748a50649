"""Text from causal language models and encoder-decoders: how the next token is chosen, when a text ends. The networks
are behind `Decoder` and `Translator`."""

from common.generation.options import GenerationOptions
from common.generation.texts import Generated, generate

__all__ = ["Generated", "GenerationOptions", "generate"]
