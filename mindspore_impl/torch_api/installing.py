"""``import torch`` gives this surface: for libraries that import torch themselves, such as transformers' model files.

    from mindspore_impl import torch_api
    torch_api.install()
    from transformers import BertConfig, BertForSequenceClassification

`install` is for a process of its own: what imported torch before keeps torch. A library asks for many parts of torch
that a network on one device does not use (``torch.distributed.DeviceMesh`` in an annotation); they become placeholders
that raise an error with torch's name when they are called.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from common.errors import InputError
from mindspore_impl.torch_api import distributions
from mindspore_impl.torch_api.absent import Absent, absent_module
from mindspore_impl.torch_api.transformers_files import LEFT_OUT, PREPARED

__all__ = ["install"]


def _same(function: Any) -> Any:
    """The function itself."""
    return function


#: parts of torch by their names here
_PARTS = (
    "amp", "autograd", "backends", "compiler", "cuda", "fft", "linalg", "nn", "nn.functional", "nn.init", "nn.modules",
    "nn.parameter", "nn.utils", "nn.utils.rnn", "optim", "optim.lr_scheduler", "optim.optimizer", "random", "special",
    "utils", "utils.checkpoint", "utils.data", "version",
)  # fmt: skip
#: parts of torch whose names are imported and not called, with what they answer
_ABSENT: dict[str, dict[str, Any]] = {
    "torch._dynamo": {"assume_constant_result": _same, "allow_in_graph": _same, "disable": _same},
    "torch._dynamo._trace_wrapped_higher_order_op": {},
    "torch.autograd.graph": {},
    "torch.distributed": {"is_available": lambda: False, "is_initialized": lambda: False},
    "torch.distributed.tensor": {},
    "torch.distributions": {name: getattr(distributions, name) for name in distributions.__all__},
    "torch.distributions.relaxed_bernoulli": {},
    "torch.distributions.wishart": {},
    "torch.export": {},
    "torch.fx": {},
    "torch.jit": {"is_tracing": lambda: False, "is_scripting": lambda: False},
    "torch.library": {name: lambda *_, **__: _same for name in ("custom_op", "register_autograd", "register_fake")},
    "torch.onnx": {},
    "torch.utils._pytree": {"register_pytree_node": lambda *_, **__: None},
}
#: single names of the same kind, where the mapping has no row for them
_NAMES = (
    "torch.Event", "torch.Graph", "torch.Stream", "torch.fft.fft", "torch.fft.ifft", "torch.float4_e2m1fn_x2",
    "torch.float8_e8m0fnu", "torch.nn.init._calculate_correct_fan", "torch.svd_lowrank", "torch.uint16", "torch.uint32",
    "torch.uint64",
)  # fmt: skip


def install() -> None:
    """Make ``import torch`` give this surface, in every library that is imported from now on.

    Raises:
        InputError: torch itself was imported before, so that both would be in use.
    """
    from mindspore_impl import torch_api

    if sys.modules.get("torch") is torch_api:
        return
    if "torch" in sys.modules:
        raise InputError(
            "torch_api.install() must come before anything imports torch; torch was imported already. Call it first, "
            "in a process that does not use torch itself."
        )
    modules = {"torch": torch_api}
    modules |= {f"torch.{name}": importlib.import_module(f"mindspore_impl.torch_api.{name}") for name in _PARTS}
    modules["safetensors.torch"] = importlib.import_module("mindspore_impl.torch_api.safetensors_files")
    for path, known in _ABSENT.items():
        made = modules[path] = absent_module(path, **known)
        owner, _, name = path.rpartition(".")
        setattr(modules[owner], name, made)
    for path in _NAMES:
        owner, _, name = path.rpartition(".")
        if not hasattr(modules[owner], name):
            setattr(modules[owner], name, Absent(path))
    sys.modules.update(modules)
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Keeps parts of torch that are not here from being found elsewhere, and prepares libraries."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(
                f"{name} is not available on MindSpore: `import torch` is mindspore_impl.torch_api in this process. "
                "See docs/torch_api.md for what there is.",
                name=name,
            )
        if any(name == part or name.startswith(f"{part}.") for part in LEFT_OUT):
            return importlib.machinery.ModuleSpec(
                name, _Loader(absent_module(name, __version__="0.0")), is_package=True
            )
        if name not in PREPARED:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path, target)
        if found is not None and found.loader is not None:
            found.loader = _Prepared(found.loader, PREPARED[name])
        return found

    def find_distributions(self, context: Any = None) -> Iterator[importlib.metadata.Distribution]:
        if context is not None and context.name == "torch":
            yield _Distribution()

    def invalidate_caches(self) -> None:
        """Nothing is cached."""


class _Loader(importlib.abc.Loader):
    """A module that is made already."""

    def __init__(self, module: ModuleType):
        self.module = module

    def create_module(self, spec: Any) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""


class _Prepared(importlib.abc.Loader):
    """Loads a module and changes it before anything else sees it."""

    def __init__(self, loader: Any, change: Callable[[ModuleType], None]):
        self.loader, self.change = loader, change

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        self.change(module)


class _Distribution(importlib.metadata.Distribution):
    """What `importlib.metadata` says of torch: the version that the surface follows."""

    def read_text(self, filename: str) -> str | None:
        from mindspore_impl import torch_api

        known = {"METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {torch_api.__version__}\n"}
        return known.get(filename)

    def locate_file(self, path: Any) -> Any:
        return path
