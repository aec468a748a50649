"""A training step as one writes it for torch, which the peers share."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from common.backend import Batch

__all__ = ["Loop"]


class Loop:
    """Autograd, clipping, an optimizer of torch. Peers set the attributes and give ``loss``."""

    model: torch.nn.Module
    bound: float | None  #: of the gradients' norm
    trained: list[torch.nn.Parameter]
    optimizer: torch.optim.Optimizer

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean loss of a batch."""
        raise NotImplementedError

    def step(self, batch: Batch) -> torch.Tensor:
        """One optimizer step."""
        self.model.train()
        loss = self.loss(batch)
        loss.backward()
        if self.bound is not None:
            torch.nn.utils.clip_grad_norm_(self.trained, self.bound)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def losses(self, handles: Sequence[torch.Tensor]) -> list[float]:
        """Of these steps."""
        return torch.stack(list(handles)).tolist()
