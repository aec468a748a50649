"""Putting chains of convolutions in the place of single ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from common.decomposition import Chain, Convolution
from common.decomposition.chain import obstacle

__all__ = ["convolutions", "replace"]


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def convolutions(model: nn.Module) -> dict[str, Convolution]:
    """Every convolution in one or two dimensions, by path; one that stands at several paths, by each."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    found = {}
    for path, module in model.named_modules(remove_duplicate=False):
        if type(module) in (nn.Conv1d, nn.Conv2d):
            weight = module.weight.detach()
            at = names.get(id(module.weight), [])
            why = obstacle(path, at, any(getattr(module, name) for name in _HOOKS), not weight.is_complex())
            exact = weight.real if weight.is_complex() else weight
            found[path] = Convolution(exact.double().cpu().numpy(), module.groups, why)
    return found


def replace(model: nn.Module, path: str, chain: Chain) -> None:
    """Put the chain in the place of the convolution at ``path``; its last one has the bias."""
    module = model.get_submodule(path)
    made = [_stage(module, chain, number) for number in range(len(chain.stages))]
    if module.bias is not None:
        made[-1].bias = module.bias
    parent, _, leaf = path.rpartition(".")
    found = nn.Sequential(*made).train(module.training)
    setattr(model.get_submodule(parent), leaf, found)


def _stage(module: nn.Conv1d | nn.Conv2d, chain: Chain, number: int) -> nn.Module:
    stage = chain.stages[number]
    outputs, inputs, *window = stage.kernel.shape
    carries = chain.carries(number)  # by axis, whether this one has the stride and padding
    named = isinstance(module.padding, str)  # "same" or "valid"
    padding = (
        module.padding
        if named and any(carries)
        else _where(carries, (0,) * len(window) if named else module.padding, 0)
    )
    made = type(module)(
        inputs * stage.groups,
        outputs,
        tuple(window),
        _where(carries, module.stride, 1),
        padding,
        _where(carries, module.dilation, 1),
        stage.groups,
        bias=False,
        padding_mode=module.padding_mode if any(carries) else "zeros",
    )
    made = made.to(module.weight.device, module.weight.dtype)
    made.weight.data.copy_(torch.from_numpy(stage.kernel))
    made.weight.requires_grad = module.weight.requires_grad
    return made


def _where(chosen: Sequence[bool], values: Sequence[int], other: int) -> tuple[int, ...]:
    return tuple(value if here else other for here, value in zip(chosen, values, strict=True))
