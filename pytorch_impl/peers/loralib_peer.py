"""The peer `loralib`: the transformers network with Microsoft's LoRA layers in place of its own, trained as the peer
`peft` is."""

from __future__ import annotations

import numpy as np
import torch
from peft_peer import Transformers

from common.bench.cases import Case
from common.edits import Edit
from common.errors import InputError
from common.models.modules import EMBEDDING, slice_features
from pytorch_impl import device as devices


def build(name: str, case: Case, device: str | None) -> Transformers:
    """The peer on the device."""
    return Transformers(case, devices.select(device), _adapted)


def _adapted(network: torch.nn.Module, case: Case) -> torch.nn.Module:
    """Unlike PEFT, loralib adapts q and v alone of a fused projection, as we do."""
    trained = {parameter.name for parameter in case.plan.unfrozen}
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name in trained
    for edit in case.plan.edits:
        parent, _, leaf = edit.path.rpartition(".")
        holder = network.get_submodule(parent)
        setattr(holder, leaf, _layer(getattr(holder, leaf), edit))
    return network


def _layer(base: torch.nn.Module, edit: Edit) -> torch.nn.Module:
    try:
        import loralib
    except ImportError:
        raise InputError(
            "The peer loralib needs the package of that name, which is not installed. pip install loralib"
        ) from None
    module, arguments = edit.module, edit.arguments
    if module.kind is EMBEDDING or arguments.rank_stabilized:
        raise InputError(
            f"The peer loralib adapts linear layers with alpha / rank; {edit.path} is given as {module.kind.name}, "
            f"{arguments}."
        )
    given = {"r": arguments.rank, "lora_alpha": arguments.alpha, "lora_dropout": arguments.dropout}
    if arguments.slices:
        whole, adapted = slice_features(module.slices), slice_features(arguments.slices)
        if any(np.ptp(features) >= len(features) for features in whole.values()):
            raise InputError(
                f"The peer loralib adapts slices that are one range of outputs each; those of {edit.path} are several. "
                "Measure another family with it."
            )
        given["enable_lora"] = [name in adapted for name in whole]
        kind = loralib.MergedLinear
    else:
        kind = loralib.Linear
    given |= {"fan_in_fan_out": module.kind.transposed, "bias": base.bias is not None}
    layer = kind(module.in_features, module.out_features, **given)
    layer.load_state_dict(base.state_dict(), strict=False)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad = name.startswith("lora_")  # loralib leaves the bias trained
    return layer
