"""Modules of `torch.nn` that call one function: their cases are the function's, whose keywords become the
constructor's."""

from __future__ import annotations

from typing import Any

from common.api_mapping.arrays import Array, normal
from common.api_mapping.row import Case, Row
from common.api_mapping.rows import activation, loss
from common.api_mapping.rows.modules import made

FUNCTIONS = {
    row.name.rpartition(".")[2]: row for row in (*activation.ROWS, *loss.ROWS) if row.section == "torch.nn.functional"
}
LOSS = ("reduction",)
WEIGHED = (*LOSS, "weight")
#: Module: its function, and which of the function's keywords its constructor takes.
MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ReLU": ("relu", ()),
    "ReLU6": ("relu6", ()),
    "LeakyReLU": ("leaky_relu", ("negative_slope",)),
    "ELU": ("elu", ("alpha",)),
    "CELU": ("celu", ("alpha",)),
    "SELU": ("selu", ()),
    "GELU": ("gelu", ("approximate",)),
    "SiLU": ("silu", ()),
    "Mish": ("mish", ()),
    "Sigmoid": ("sigmoid", ()),
    "LogSigmoid": ("logsigmoid", ()),
    "Hardsigmoid": ("hardsigmoid", ()),
    "Tanh": ("tanh", ()),
    "Hardtanh": ("hardtanh", ("min_val", "max_val")),
    "Tanhshrink": ("tanhshrink", ()),
    "Hardswish": ("hardswish", ()),
    "Softplus": ("softplus", ("beta", "threshold")),
    "Softsign": ("softsign", ()),
    "Softshrink": ("softshrink", ("lambd",)),
    "Hardshrink": ("hardshrink", ("lambd",)),
    "Threshold": ("threshold", ("threshold", "value")),
    "GLU": ("glu", ("dim",)),
    "Softmax": ("softmax", ("dim",)),
    "LogSoftmax": ("log_softmax", ("dim",)),
    "Softmin": ("softmin", ("dim",)),
    "CrossEntropyLoss": ("cross_entropy", (*WEIGHED, "ignore_index", "label_smoothing")),
    "NLLLoss": ("nll_loss", (*WEIGHED, "ignore_index")),
    "MSELoss": ("mse_loss", LOSS),
    "L1Loss": ("l1_loss", LOSS),
    "SmoothL1Loss": ("smooth_l1_loss", (*LOSS, "beta")),
    "HuberLoss": ("huber_loss", (*LOSS, "delta")),
    "BCELoss": ("binary_cross_entropy", WEIGHED),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", (*WEIGHED, "pos_weight")),
    "KLDivLoss": ("kl_div", (*LOSS, "log_target")),
    "CosineEmbeddingLoss": ("cosine_embedding_loss", (*LOSS, "margin")),
    "MarginRankingLoss": ("margin_ranking_loss", (*LOSS, "margin")),
    "HingeEmbeddingLoss": ("hinge_embedding_loss", (*LOSS, "margin")),
    "TripletMarginLoss": ("triplet_margin_loss", (*LOSS, "margin", "p", "eps", "swap")),
    "SoftMarginLoss": ("soft_margin_loss", LOSS),
    "MultiMarginLoss": ("multi_margin_loss", (*WEIGHED, "p", "margin")),
    "MultiLabelSoftMarginLoss": ("multilabel_soft_margin_loss", WEIGHED),
    "GaussianNLLLoss": ("gaussian_nll_loss", (*LOSS, "full", "eps")),
    "PoissonNLLLoss": ("poisson_nll_loss", (*LOSS, "log_input", "full", "eps")),
}
ADAPTED = {
    "CrossEntropyLoss": "int64 labels",
    "NLLLoss": "ignored labels count nowhere",
}  #: where the function needs no adapter
INPUTS = {
    "GaussianNLLLoss": 3,
    "CosineEmbeddingLoss": 3,
    "MarginRankingLoss": 3,
    "TripletMarginLoss": 3,
}  # others: two of a loss, one of an activation


def _cases(function: Row, taken: tuple[str, ...], inputs: int) -> tuple[Case, ...]:
    """The function's calls that can be written with the module: tensors by position, the rest by the constructor's
    keywords."""
    usable = [case for case in function.cases if len(case.arguments) == inputs and set(case.keywords) <= set(taken)]
    usable = [case for case in usable if all(isinstance(argument, Array) for argument in case.arguments)]
    return tuple(made(dict(case.keywords), *case.arguments, gradient=case.gradient) for case in usable)


def _row(name: str) -> Row:
    function, taken = FUNCTIONS[MODULES[name][0]], MODULES[name][1]
    inputs = INPUTS.get(name, 2 if "reduction" in taken else 1)
    targets = (f"mint.nn.{name}", f"nn.{name}", f"shim.nn.{name}")
    note = (
        "inplace must be False"
        if name in ("ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "SiLU", "Mish", "Hardtanh", "Threshold")
        else ""
    )
    adaptation = function.adaptation or ADAPTED[name]
    return Row(
        f"torch.nn.{name}",
        targets,
        _cases(function, taken, inputs),
        function.tolerance,
        adaptation,
        note,
        limits=function.limits,
    )


def _slopes() -> tuple[Case, ...]:
    setups: tuple[dict[str, Any], ...] = ({}, {"num_parameters": 3}, {"init": 0.5})
    return (
        *(made(setup, normal(2, 3, 4)) for setup in setups),
        made({}, normal()),
        made({"num_parameters": 5}, normal(4, 5)),
    )


def _drawn() -> tuple[Case, ...]:
    setups: tuple[dict[str, Any], ...] = ({}, {"lower": 0.5, "upper": 0.75})
    return tuple(made(setup, normal(100, 200), training=training) for setup in setups for training in (False, True))


ROWS = (
    *(_row(name) for name in MODULES),
    Row(
        "torch.nn.PReLU",
        ("mint.nn.PReLU", "nn.PReLU", "shim.nn.PReLU"),
        _slopes(),
        "rounding",
        "the parameter is called weight",
    ),
    Row(
        "torch.nn.RReLU",
        ("mint.nn.RReLU", "nn.RReLU", "shim.nn.RReLU"),
        _drawn(),
        adaptation="slopes are drawn while training only",
        stochastic=True,
    ),
)
