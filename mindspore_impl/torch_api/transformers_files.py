"""What transformers' files need beyond torch: its own answers to which libraries are there."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

__all__ = ["LEFT_OUT", "PREPARED"]

#: libraries that transformers uses if they are there, and that need more of torch than there is
_WITHOUT = (
    "accelerate", "peft", "torchvision", "torchaudio", "kernels", "bitsandbytes", "deepspeed", "apex", "flash_attn",
    "torch_flex_attn", "hqq", "quanto", "optimum_quanto", "torchao", "gptqmodel", "triton", "torch_xla", "torchcodec",
)  # fmt: skip


def _without_libraries(module: ModuleType) -> None:
    """transformers.utils.import_utils: libraries are absent."""
    for name in _WITHOUT:
        if hasattr(module, f"is_{name}_available"):
            setattr(module, f"is_{name}_available", lambda *_, **__: False)


#: parts of transformers that are not loaded: serving
LEFT_OUT = ("transformers.generation.continuous_batching",)
#: modules of transformers, and what is changed in them once they are loaded
PREPARED: dict[str, Callable[[ModuleType], None]] = {"transformers.utils.import_utils": _without_libraries}
