"""The peer `torch`: the same modules in a loop as one writes it for torch: autograd, clipping and torch.optim.AdamW."""

from __future__ import annotations

import torch
from plain_loop import Loop

from common.backend import Batch
from common.bench.cases import Case
from common.bench.plain import fitting
from common.tasks import TASKS
from pytorch_impl import device as devices
from pytorch_impl.network import build_model, task


class Plain(Loop):
    """Implements `common.bench.subjects.Subject`."""

    note = ""

    def __init__(self, case: Case, device: str | None):
        fitting(case, "adamw")
        settings = case.config.optimization
        self.device, self.bound = devices.select(device), settings.max_grad_norm
        self.model = build_model(case.spec, self.device)
        self._sum, self._targets = task(case.spec.task).loss, TASKS.get(case.spec.task).step_targets
        trained = case.plan.shapes()
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad = name in trained
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.trained,
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
            weight_decay=0.0,
        )

    @torch.no_grad()
    def check_loss(self, batch: Batch) -> float:
        self.model.eval()
        return self.loss(batch).item()

    def loss(self, batch: Batch) -> torch.Tensor:
        tensors = {name: torch.from_numpy(array).to(self.device) for name, array in batch.items()}
        inputs = {name: tensor if tensor.is_floating_point() else tensor.long() for name, tensor in tensors.items()}
        return self._sum(self.model, inputs)[0] / self._targets([batch])


def build(name: str, case: Case, device: str | None) -> Plain:
    """The peer. Raises InputError where it cannot do the case."""
    return Plain(case, device)
