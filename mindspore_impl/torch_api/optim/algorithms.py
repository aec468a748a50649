"""torch's optimizers by name: their arguments, and the adapter that computes the step."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from mindspore_impl.shims import optim as updates
from mindspore_impl.torch_api.optim.optimizer import Optimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"]

_LATER = "foreach=None, maximize=False, capturable=False, differentiable=False"
_ADAM = {"step": "", "exp_avg": "first", "exp_avg_sq": "second"}


def _signature(text: str) -> inspect.Signature:
    made: dict[str, Any] = {}
    exec(f"def constructor({text}): ...", made)
    return inspect.signature(made["constructor"])


def _algorithm(name: str, text: str, kept: dict[str, str], **renamed: str) -> type[Optimizer]:
    """An optimizer with torch's arguments ``text``."""
    signature, update = _signature(text), getattr(updates, name)

    def start(self: Optimizer, params: Iterable[Any], *arguments: Any, **keywords: Any) -> None:
        given = signature.bind(*arguments, **keywords)
        given.apply_defaults()
        options = dict(given.arguments)
        _check(options)
        if options.get("differentiable"):
            raise NotImplementedError(f"{name}: differentiable=True is not available: updates are not recorded.")
        if name == "AdamW":
            options["decoupled_weight_decay"] = True
        Optimizer.__init__(self, params, options)
        for group in self.param_groups:
            update_signature.bind(None, **{k: v for k, v in group.items() if k in accepted})

    update_signature = inspect.signature(update)
    accepted = frozenset(update_signature.parameters) - {"params"}
    members = {
        "__init__": start,
        "update": update,
        "kept": kept,
        "__doc__": update.__doc__,
        "__module__": "mindspore_impl.torch_api.optim",
        "__signature__": signature,
    }
    return type(name, (Optimizer,), members)


def _check(options: dict[str, Any]) -> None:
    """Refuse what torch refuses."""
    for name, words in (
        ("lr", "learning rate"),
        ("eps", "epsilon value"),
        ("weight_decay", "weight_decay value"),
        ("momentum", "momentum value"),
        ("rho", "rho value"),
        ("lr_decay", "lr_decay value"),
    ):
        if name in options and options[name] < 0.0:
            raise ValueError(f"Invalid {words}: {options[name]}")
    for number, beta in enumerate(options.get("betas", ())):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {number}: {beta}")
    if options.get("nesterov") and (options["momentum"] <= 0 or options["dampening"] != 0):
        raise ValueError("Nesterov momentum requires a momentum and zero dampening")


SGD = _algorithm(
    "SGD",
    "lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False, foreach=None, differentiable=False, fused=None",
    {"momentum_buffer": "buffer"},
)
Adam = _algorithm(
    "Adam",
    "lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *, foreach=None, maximize=False, capturable=False, "
    "differentiable=False, fused=None, decoupled_weight_decay=False",
    {**_ADAM, "max_exp_avg_sq": "largest"},
)
AdamW = _algorithm(
    "AdamW",
    "lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *, maximize=False, foreach=None, capturable=False, "
    "differentiable=False, fused=None",
    {**_ADAM, "max_exp_avg_sq": "largest"},
)
Adagrad = _algorithm(
    "Adagrad",
    "lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, foreach=None, *, maximize=False, differentiable=False, fused=None",
    {"step": "", "sum": "squares"},
)
Adadelta = _algorithm(
    "Adadelta",
    "lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, foreach=None, *, capturable=False, maximize=False, differentiable=False",
    {"step": "", "square_avg": "squares", "acc_delta": "changes"},
)
RMSprop = _algorithm(
    "RMSprop",
    "lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, capturable=False, foreach=None, maximize=False, differentiable=False",
    {"step": "", "square_avg": "squares", "momentum_buffer": "buffer", "grad_avg": "means"},
)
Adamax = _algorithm(
    "Adamax",
    "lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, foreach=None, *, maximize=False, differentiable=False, capturable=False",
    {"step": "", "exp_avg": "first", "exp_inf": "norms"},
)
NAdam = _algorithm(
    "NAdam",
    "lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3, decoupled_weight_decay=False, *, foreach=None, maximize=False, "
    "capturable=False, differentiable=False",
    {**_ADAM, "mu_product": "remainder"},
)
RAdam = _algorithm(
    "RAdam",
    "lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False, *, foreach=None, maximize=False, capturable=False, "
    "differentiable=False",
    _ADAM,
)
