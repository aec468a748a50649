"""The peer `loralib`: the transformers network with Microsoft's LoRA layers in place of its own, trained as the peer `peft` is."""

from __future__ import annotations

import torch
from common.adaptation.plan import PlanStep
from peft_peer import Transformers

from common.bench.cases import Case
from common.errors import InputError
from pytorch_impl import device as devices


def build(name: str, case: Case, device: str | None) -> Transformers:
    """The peer on the device."""
    return Transformers(case, devices.select(device), _adapted)


def _adapted(network: torch.nn.Module, case: Case) -> torch.nn.Module:
    """Unlike PEFT, loralib adapts q and v alone of a fused projection, as we do."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name in case.plan.trained
    for step in case.plan.steps:
        parent, _, leaf = step.path.rpartition(".")
        holder = network.get_submodule(parent)
        setattr(holder, leaf, _layer(getattr(holder, leaf), step))
    return network


def _layer(base: torch.nn.Module, step: PlanStep) -> torch.nn.Module:
    try:
        import loralib
    except ImportError:
        raise InputError(
            "The peer loralib needs the package of that name, which is not installed. pip install loralib"
        ) from None
    if step.kind == "embedding" or step.arguments.rank_stabilized:
        raise InputError(
            f"The peer loralib adapts linear layers with alpha / rank; {step.path} is given as {step.kind}, {step.arguments}."
        )
    given = {"r": step.arguments.rank, "lora_alpha": step.arguments.alpha, "lora_dropout": step.arguments.dropout}
    if step.arguments.slices:
        width = step.out_features // 3
        given["enable_lora"] = [any(start <= part * width < stop for start, stop in step.ranges) for part in range(3)]
        kind = loralib.MergedLinear
    else:
        kind = loralib.Linear
    layer = kind(
        step.in_features, step.out_features, fan_in_fan_out=step.kind == "conv1d", bias=base.bias is not None, **given
    )
    layer.load_state_dict(base.state_dict(), strict=False)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad = name.startswith("lora_")  # loralib leaves the bias trained
    return layer
