"""Optimizers of `torch.optim`: twenty steps from drawn parameters with drawn gradients.

Positional arguments of a case are groups, whose parameters are told by number.
"""

from __future__ import annotations

from typing import Any

from common.api_mapping.row import Case, Row

CALL = (
    "called with the gradients by name, as of ms.grad(..., return_ids=True): no parameter keeps its gradient; "
    "foreach, fused, capturable and differentiable are left out"
)
GROUPS = ({"params": (0, 2), "weight_decay": 0.1}, {"params": (1,), "lr": 0.05})


def _row(name: str, adaptation: str, own: tuple[str, ...], *setups: dict[str, Any]) -> Row:
    given: tuple[dict[str, Any], ...] = ({"weight_decay": 0.1}, {"maximize": True}, *setups)
    cases = [Case((), setup={"lr": 0.01, **setup}) for setup in given]
    cases += [Case(()), Case(GROUPS, setup={"lr": 0.01})]
    targets = (f"shim.optim.{name}", f"experimental.optim.{name}", *own)  # the adapter first: one interface for all
    return Row(f"torch.optim.{name}", targets, tuple(cases), "steps", adaptation, CALL)


BETAS = {"betas": (0.8, 0.95), "eps": 1e-6}

ROWS = (
    _row(
        "SGD",
        "the first step is not dampened; options of a group",
        ("mint.optim.SGD", "nn.SGD"),
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    _row(
        "Adam",
        "eps is added to the corrected root",
        ("mint.optim.Adam", "nn.Adam"),
        BETAS,
        {"amsgrad": True},
        {"eps": 1e-4, "weight_decay": 0.01},
    ),
    _row(
        "AdamW",
        "eps is added to the corrected root; decoupled decay",
        ("mint.optim.AdamW", "nn.AdamWeightDecay"),
        BETAS,
        {"amsgrad": True},
    ),
    _row(
        "Adagrad",
        "torch's defaults and eps",
        ("nn.Adagrad",),
        {"lr_decay": 0.1},
        {"initial_accumulator_value": 0.3},
        {"eps": 1e-3},
    ),
    _row("Adadelta", "torch's defaults and eps", ("nn.Adadelta",), {"lr": 1.0}, {"rho": 0.7, "eps": 1e-4}),
    _row(
        "RMSprop",
        "eps is added outside the root",
        ("nn.RMSProp",),
        {"alpha": 0.9, "eps": 1e-4},
        {"momentum": 0.9},
        {"centered": True},
        {"centered": True, "momentum": 0.5, "weight_decay": 0.1},
    ),
    _row("Adamax", "eps is added to the gradient's magnitude", ("nn.AdaMax",), BETAS),
    _row(
        "NAdam",
        "torch's formula",
        (),
        BETAS,
        {"momentum_decay": 0.1},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    _row(
        "RAdam",
        "torch's formula",
        (),
        BETAS,
        {"betas": (0.9, 0.9)},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
)
