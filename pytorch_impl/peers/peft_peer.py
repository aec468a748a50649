"""The peers `peft` and `peft-compile`: the transformers network under PEFT's LoRA, torch's AdamW and gradient clipping,
all as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from peft_reference import adapted, tensors, weight_decay_groups
from plain_loop import Loop

from common.backend import Batch
from common.bench.cases import Case
from common.errors import InputError
from pytorch_impl import device as devices
from pytorch_impl.hf_bridge.foreign import build as build_network

_QKV = "PEFT adapts the whole of GPT-2's c_attn (q, k and v); ours its q and v"


class Transformers(Loop):
    """Implements `common.bench.subjects.Subject`. The base weights are those of the case; the peer draws its own A, and
    B is zero in both.

    Args:
        adapt: puts the case's LoRA into the transformers network and freezes the rest.
    """

    note = ""

    def __init__(
        self, case: Case, device: str, adapt: Callable[[torch.nn.Module, Case], torch.nn.Module], compiled: bool = False
    ):
        config, spec = case.config, case.spec
        network = build_network(spec)
        missing, unexpected = network.load_state_dict(
            {name: torch.from_numpy(array) for name, array in spec.arrays.items()}, strict=False
        )
        if unexpected or any(name != "lm_head.weight" and not name.endswith("position_ids") for name in missing):
            raise InputError(
                f"The peer needs the very network of the case; its arrays leave {missing} and add {unexpected}."
            )
        self.device, self._config = device, config
        self._bf16 = config.training.dtype == "bf16"
        self.plain = adapt(network, case).to(device)
        self.model = torch.compile(self.plain) if compiled else self.plain
        self.trained = [parameter for parameter in self.plain.parameters() if parameter.requires_grad]
        settings = config.optimization
        self.bound = settings.max_grad_norm
        if settings.optimizer != "adamw":
            raise InputError(
                f"The peer trains with AdamW; optimization.optimizer of the case is {settings.optimizer}. Measure "
                "another case, or leave the peer out of --subjects."
            )
        groups = weight_decay_groups(self.plain, settings)
        self.optimizer = torch.optim.AdamW(
            groups, lr=settings.learning_rate, betas=(settings.beta1, settings.beta2), eps=settings.epsilon
        )

    @torch.no_grad()
    def check_loss(self, batch: Batch) -> float:
        self.plain.eval()
        return self.loss(batch, self.plain).item()

    def loss(self, batch: Batch, model: Any = None) -> torch.Tensor:
        """Mean loss over the scored labels."""
        found = tensors(batch, self._config)
        inputs = {name: tensor.to(self.device, non_blocking=True) for name, tensor in found.items()}
        if inputs["labels"].dim() == 2:  # transformers shifts the labels itself
            inputs["labels"] = torch.nn.functional.pad(inputs["labels"], (1, -1), value=-100)
        with torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self._bf16):
            return (model or self.model)(**inputs).loss


def build(name: str, case: Case, device: str | None) -> Transformers:
    """The peer ``name`` on the device."""
    peer = Transformers(
        case, devices.select(device), lambda network, case: adapted(network, case.config), name == "peft-compile"
    )
    peer.note = _QKV if any("[" in target.pattern for target in case.config.adaptation.targets) else ""
    return peer
