"""The peer `torch`: the same modules in a loop as one writes it for torch: autograd, clipping and torch.optim.AdamW."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from common.backend import Batch
from common.bench.cases import Case
from common.bench.plain import fitting
from common.tasks import TASKS
from pytorch_impl import device as devices
from pytorch_impl.network import build_model, task


class Plain:
    """Implements `common.bench.subjects.Subject`."""

    note = ""

    def __init__(self, case: Case, device: str | None):
        fitting(case, "adamw")
        settings = case.config.optimization
        self.device, self._bound = devices.select(device), settings.max_grad_norm
        self.model = build_model(case.spec, self.device)
        self._loss, self._targets = task(case.spec.task).loss, TASKS.get(case.spec.task).step_targets
        trained = case.plan.shapes()
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad = name in trained
        self._trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._trained,
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
            weight_decay=0.0,
        )

    def step(self, batch: Batch) -> torch.Tensor:
        self.model.train()
        loss = self._mean(batch)
        loss.backward()
        if self._bound is not None:
            torch.nn.utils.clip_grad_norm_(self._trained, self._bound)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss.detach()

    def losses(self, handles: Sequence[torch.Tensor]) -> list[float]:
        return torch.stack(list(handles)).tolist()

    @torch.no_grad()
    def check_loss(self, batch: Batch) -> float:
        self.model.eval()
        return self._mean(batch).item()

    def _mean(self, batch: Batch) -> torch.Tensor:
        tensors = {name: torch.from_numpy(array).to(self.device) for name, array in batch.items()}
        inputs = {name: tensor if tensor.is_floating_point() else tensor.long() for name, tensor in tensors.items()}
        return self._loss(self.model, inputs)[0] / self._targets([batch])


def build(name: str, case: Case, device: str | None) -> Plain:
    """The peer. Raises InputError where it cannot do the case."""
    return Plain(case, device)
