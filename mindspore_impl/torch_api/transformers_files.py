"""What transformers' files need beyond torch's names.

They run as they are. Three of its modules are changed once they are loaded: optional libraries are absent, weights are
read with NumPy and in one thread, and `from_pretrained` makes its network on this device, since there is no ``meta``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = ["LEFT_OUT", "PREPARED"]

#: libraries that transformers uses if they are there, and that need more of torch than there is
_WITHOUT = (
    "accelerate", "peft", "torchvision", "torchaudio", "kernels", "bitsandbytes", "deepspeed", "apex", "flash_attn",
    "torch_flex_attn", "hqq", "quanto", "optimum_quanto", "torchao", "gptqmodel", "triton", "torch_xla", "torchcodec",
)  # fmt: skip


def _without_libraries(module: ModuleType) -> None:
    """``utils.import_utils``"""
    for name in _WITHOUT:
        if hasattr(module, f"is_{name}_available"):
            setattr(module, f"is_{name}_available", lambda *_, **__: False)


def _without_meta(module: ModuleType) -> None:
    """``modeling_utils``"""
    from mindspore_impl.torch_api.dtypes import device
    from mindspore_impl.torch_api.random import get_rng_state, set_rng_state
    from mindspore_impl.torch_api.safetensors_files import open_file

    blocks, found = module.PreTrainedModel.get_init_context.__func__, module.get_torch_context_manager_or_global_device
    loading: list[bool] = []

    @contextmanager
    def as_on_meta() -> Iterator[None]:
        """No start values are made, as on ``meta``, and the generator is afterwards as before."""
        loading.append(True)
        state = get_rng_state()
        try:
            yield
        finally:
            set_rng_state(state)
            loading.pop()

    def get_init_context(cls: Any, *arguments: Any, **keywords: Any) -> list[Any]:
        kept = [block for block in blocks(cls, *arguments, **keywords) if not isinstance(block, device)]
        return [as_on_meta(), *kept]

    module.PreTrainedModel.get_init_context = classmethod(get_init_context)
    module.get_torch_context_manager_or_global_device = lambda: device("meta") if loading else found()
    module.safe_open = open_file


def _without_threads(module: ModuleType) -> None:
    """``core_model_loading``"""
    made = module.spawn_materialize
    module.spawn_materialize = lambda _, *arguments, **keywords: made(None, *arguments, **keywords)


#: parts of transformers that are not loaded: serving
LEFT_OUT = (
    "accelerate",
    "transformers.generation.continuous_batching",
)
#: modules of transformers, and what is changed in them once they are loaded
PREPARED: dict[str, Callable[[ModuleType], None]] = {
    "transformers.core_model_loading": _without_threads,
    "transformers.modeling_utils": _without_meta,
    "transformers.utils.import_utils": _without_libraries,
}
