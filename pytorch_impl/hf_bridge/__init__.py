"""Everything that touches the insides of `transformers` and PEFT. It has no counterpart in MindSpore."""

from pytorch_impl.hf_bridge import foreign, onnx, peft

__all__ = ["foreign", "onnx", "peft"]
