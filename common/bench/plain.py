"""What the peers `torch` and `cells` can do: train the parameters of a network itself."""

from __future__ import annotations

from common.bench.cases import Case
from common.errors import InputError

__all__ = ["fitting"]


def fitting(case: Case, optimizer: str) -> None:
    """Refuse what a plain loop would compute differently.

    Args:
        optimizer: the one of the loops.

    Raises:
        InputError: the case is none of these loops'.
    """
    config, settings = case.config, case.config.optimization
    asked = {
        "optimization.optimizer": (settings.optimizer, optimizer),
        "optimization.weight_decay": (settings.weight_decay, 0.0),
        "optimization.max_norm": (settings.max_norm, None),
        "training.dtype": (config.training.dtype, "fp32"),
        "edits of the network": (len(case.plan.edits), 0),
    }
    for name, (received, allowed) in asked.items():
        if received != allowed:
            raise InputError(
                f"The peers torch and cells train the parameters of a network in float32: {name} must be {allowed}; "
                f"received {received}. Leave them out of --subjects."
            )
