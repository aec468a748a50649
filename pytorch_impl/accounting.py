"""What a training step holds between its two passes, counted on tensors without storage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from common.backend import EngineSettings
from common.memory.account import Held
from common.memory.formula import Attended, Keeps, probabilities
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.tasks.example import example_batch
from pytorch_impl.layers.attention import KEPT
from pytorch_impl.layers.dropout import share_key
from pytorch_impl.network import Network, task
from pytorch_impl.preparation import prepare
from pytorch_impl.rewrite import carry_out, parameters, rewrite

__all__ = ["KEEPS", "held"]


def _attention(sizes: Attended) -> int:
    """Query, key and value with split heads, the mask of the padding, and the probabilities where they are few."""
    projected = sizes.rows * (sizes.queries + 2 * sizes.length) * sizes.width
    mask = sizes.rows * sizes.queries * sizes.length
    return projected + mask + (probabilities(sizes) if probabilities(sizes) <= KEPT else 0)


KEEPS = Keeps(
    norm=lambda rows, width: 2 * rows,  # mean and scale
    norm_input=True,
    activation=lambda name, rows, width: rows * width,
    attention=_attention,
    mask=lambda count: 0,  # computed again
    package="pytorch_impl",
)  #: what the formula of `common.memory.formula` reads; it must agree with what `held` counts


def held(spec: ModelSpec, plan: Plan, settings: EngineSettings, rows: int, length: int) -> tuple[Held, str]:
    """Weights and saved tensors of the network that an engine trains, and how they were found.

    No tensor has memory: the forward pass runs on shapes, as on the CPU, with every target given.

    Args:
        rows, length: of the only micro-batch.
    """
    with torch.device("meta"):
        model = Network(spec)
    carry_out(model, spec.edits, {})
    rewrite(model, plan, plan.initial_values(0))
    prepare(model, settings, "cpu")
    batch = example_batch(spec, [length] * rows, "memory")
    with without_storage(model) as mode:
        share_key(model, "cpu").set(0, 0, 0)
        inputs = {name: mode.from_tensor(torch.from_numpy(array)) for name, array in batch.items()}
        inputs = {name: tensor if tensor.is_floating_point() else tensor.long() for name, tensor in inputs.items()}
        model.train()
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=settings.dtype == "bf16"),
            saved(model, spec.layout.output) as kept,
        ):
            loss = task(model.task).loss(model, inputs)
        del loss
    found = parameters(model)
    sizes = {name: parameter.numel() * parameter.element_size() for name, parameter in found.items()}
    return Held(sizes, frozenset(plan.shapes()), kept), "counted"


# What follows has no counterpart: a graph of MindSpore does not show what it keeps.


@contextmanager
def without_storage(model: nn.Module) -> Iterator[FakeTensorMode]:
    """Run ``model``, built on the meta device, on the CPU's shapes and types."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        return mode.fake_tensor_converter.from_meta_and_device(mode, tensor.detach().to("meta"), torch.device("cpu"))

    known: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                if id(parameter) not in known:  # tied weights stay one
                    known[id(parameter)] = nn.Parameter(fake(parameter), parameter.requires_grad)
                module._parameters[name] = known[id(parameter)]
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else fake(buffer)
    with mode, _Answers():
        yield mode


class _Answers(TorchDispatchMode):
    """Answers what depends on values that are not there: every condition is false, so that a mask has padding, and no
    element is zero, so that every position has a target."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return False if args[0].dtype == torch.bool else 0
        if func is torch.ops.aten.nonzero.default:
            return args[0].new_empty((args[0].numel(), args[0].dim()), dtype=torch.long)
        return func(*args, **(kwargs or {}))


@contextmanager
def saved(model: nn.Module, head: str) -> Iterator[Counter[str]]:
    """Bytes of the distinct storages that forward passes save for a backward pass, by the path of the module that saves
    them first. Parameters and buffers do not count.

    What is computed outside of every module belongs to where the one before is, such as a projection before attention;
    behind a norm, which ends a network, to the ``head``.
    """
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    paths = {module: path for path, module in model.named_modules()}
    storages: dict[int, Any] = {}  # kept alive, since a freed one's address is used again
    found: Counter[str] = Counter()
    running: list[str] = []
    before = [""]

    def enter(module: nn.Module, _: Any) -> None:
        running.append(paths.get(module, ""))

    def leave(module: nn.Module, *_: Any) -> None:
        path = running.pop()
        before[0] = head if isinstance(module, nn.LayerNorm) else path.rpartition(".")[0] or path or before[0]

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own and storage._cdata not in storages:
            storages[storage._cdata] = storage
            found[(running and running[-1]) or before[0]] += storage.nbytes()
        return tensor.detach()

    with ExitStack() as stack:
        for hook in (
            nn.modules.module.register_module_forward_pre_hook(enter),
            nn.modules.module.register_module_forward_hook(leave, always_call=True),
        ):
            stack.callback(hook.remove)
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor))
        yield found
