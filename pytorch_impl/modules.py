"""The building blocks under one set of names: torch's own layers, and GPT-2's transposed linear layer from `transformers`."""

from torch.nn import Embedding, LayerNorm, Linear
from transformers.pytorch_utils import Conv1D

__all__ = ["Conv1D", "Embedding", "LayerNorm", "Linear"]
