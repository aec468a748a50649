"""AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2) and clipping by the global norm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.backend import EngineSettings
from common.strict import check_arrays

__all__ = ["AdamW"]


class AdamW:
    """The optimizer of the trained parameters.

    With g the clipped gradient, t the step from 1:

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
        p = p (1 - lr decay) - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

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
        self.settings = settings
        groups = [
            {
                "params": [p for name, p in parameters.items() if (name in decayed, rates[name]) == (decays, factor)],
                "weight_decay": decay,
                "factor": factor,
            }
            for decays, decay in ((True, settings.weight_decay), (False, 0.0))
            for factor in sorted(set(rates.values()))
        ]
        self._optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=0.0,
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
        )

    def step(self, gradients: tuple[torch.Tensor | None, ...], learning_rate: float) -> torch.Tensor:
        """Clip and update; returns the gradients' global norm before clipping, a scalar on the device.

        Args:
            gradients: one per parameter, in their order; None leaves the parameter as it is.
        """
        for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        bound = self.settings.max_grad_norm if self.settings.max_grad_norm is not None else float("inf")
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), bound)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate * group["factor"]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, np.ndarray]:
        """``step`` (int64 scalar) and both moments of every parameter, float32; zeros before the first step."""
        arrays = {"step": np.int64(0)}
        for name, parameter in self.parameters.items():
            entry = self._optimizer.state.get(parameter, {})
            arrays["step"] = max(
                arrays["step"], np.int64(entry.get("step", torch.zeros(())).item())
            )  # a parameter without gradient stays behind
            for moment in ("exp_avg", "exp_avg_sq"):
                arrays[f"{moment}.{name}"] = entry.get(moment, torch.zeros_like(parameter)).float().cpu().numpy().copy()
        return {name: np.asarray(array) for name, array in arrays.items()}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""
        check_arrays(self.state(), arrays)
        for name, parameter in self.parameters.items():
            moments = {
                m: torch.from_numpy(np.array(arrays[f"{m}.{name}"], np.float32)).to(parameter)
                for m in ("exp_avg", "exp_avg_sq")
            }
            self._optimizer.state[parameter] = {"step": torch.tensor(float(arrays["step"])), **moments}
