"""Updates the trained parameters: clipping by the global norm, one of torch's optimizers, the bound of the last layer's
rows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from common.backend import EngineSettings
from common.members import file_name
from common.optimizers import OPTIMIZERS
from common.strict import check_arrays

__all__ = ["Optimizer"]


class Optimizer:
    """The optimizer of the trained parameters, a member of `common.optimizers`.

    Args:
        parameters: canonical name to parameter.
        decayed: names that weight decay applies to.
        rates: name to the factor of its lr, see `common.methods.plan.Plan.rates`.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        decayed: frozenset[str],
        rates: Mapping[str, float],
        settings: EngineSettings,
    ):
        self.parameters = dict(parameters)
        self.settings, wanted = settings, settings.optimization
        groups = [
            {
                "params": [p for name, p in parameters.items() if (name in decayed, rates[name]) == (decays, factor)],
                "weight_decay": decay,
                "factor": factor,
            }
            for decays, decay in ((True, wanted.weight_decay), (False, 0.0))
            for factor in sorted(set(rates.values()))
        ]
        module = importlib.import_module(f"pytorch_impl.optimizers.{file_name(wanted.optimizer)}")
        self._optimizer = module.rule(wanted)([group for group in groups if group["params"]], lr=0.0)
        self._slots = OPTIMIZERS.get(wanted.optimizer).slots(wanted)
        self._steps = 0

    def step(self, gradients: Sequence[torch.Tensor], learning_rate: float) -> torch.Tensor:
        """Clip and update; returns the gradients' global norm before clipping, a scalar on the device.

        Args:
            gradients: one per parameter, in their order.
        """
        for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        wanted = self.settings.optimization
        bound = wanted.max_grad_norm if wanted.max_grad_norm is not None else float("inf")
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), bound)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate * group["factor"]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._steps += 1
        if self.settings.bounded is not None:
            _bound(self.parameters[self.settings.bounded], wanted.max_norm)
        return norm

    def state(self) -> dict[str, np.ndarray]:
        """``step`` (int64 scalar) and what the rule keeps of every parameter, float32; zeros before the first step."""
        arrays = {"step": np.asarray(self._steps, np.int64)}
        for name, parameter in self.parameters.items():
            entry = self._optimizer.state.get(parameter, {})
            for slot in self._slots:
                kept = entry.get(slot)
                kept = torch.zeros_like(parameter) if kept is None else kept
                arrays[f"{slot}.{name}"] = kept.detach().float().cpu().numpy().copy()
        return arrays

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""
        check_arrays(self.state(), arrays)
        self._steps = int(arrays["step"])
        for name, parameter in self.parameters.items():
            kept = {
                slot: torch.from_numpy(np.array(arrays[f"{slot}.{name}"], np.float32)).to(parameter)
                for slot in self._slots
            }
            self._optimizer.state[parameter] = {"step": torch.tensor(float(self._steps)), **kept}


@torch.no_grad()
def _bound(parameter: nn.Parameter, bound: float) -> None:
    """Shorten the rows of ``(rows, width)`` that are longer than ``bound``."""
    parameter.copy_(torch.renorm(parameter, 2, 0, bound))
