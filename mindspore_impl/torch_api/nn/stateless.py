"""Modules without parameters: a function of `functional` and the arguments of the constructor."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from common.api_mapping.names import named
from mindspore_impl.mapping import bound
from mindspore_impl.torch_api.lifting import lifted
from mindspore_impl.torch_api.nn import functional as F
from mindspore_impl.torch_api.nn.module import Module
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["stateless"]

_POOL = "kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False"
_MEAN_POOL = "kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True"
_LOSS = "size_average=None, reduce=None, reduction='mean'"
#: module -> function, the constructor's arguments as torch writes them
_FUNCTIONS = {
    "ReLU": ("relu", "inplace=False"),
    "ReLU6": ("relu6", "inplace=False"),
    "LeakyReLU": ("leaky_relu", "negative_slope=0.01, inplace=False"),
    "ELU": ("elu", "alpha=1.0, inplace=False"),
    "CELU": ("celu", "alpha=1.0, inplace=False"),
    "SELU": ("selu", "inplace=False"),
    "GELU": ("gelu", "approximate='none'"),
    "SiLU": ("silu", "inplace=False"),
    "Mish": ("mish", "inplace=False"),
    "Sigmoid": ("sigmoid", ""),
    "LogSigmoid": ("logsigmoid", ""),
    "Hardsigmoid": ("hardsigmoid", "inplace=False"),
    "Tanh": ("tanh", ""),
    "Hardtanh": ("hardtanh", "min_val=-1.0, max_val=1.0, inplace=False"),
    "Tanhshrink": ("tanhshrink", ""),
    "Hardswish": ("hardswish", "inplace=False"),
    "Softplus": ("softplus", "beta=1.0, threshold=20.0"),
    "Softsign": ("softsign", ""),
    "Softshrink": ("softshrink", "lambd=0.5"),
    "Hardshrink": ("hardshrink", "lambd=0.5"),
    "Threshold": ("threshold", "threshold, value, inplace=False"),
    "RReLU": ("rrelu", "lower=1.0/8, upper=1.0/3, inplace=False"),
    "GLU": ("glu", "dim=-1"),
    "Softmax": ("softmax", "dim=None"),
    "LogSoftmax": ("log_softmax", "dim=None"),
    "Softmin": ("softmin", "dim=None"),
    "Dropout": ("dropout", "p=0.5, inplace=False"),
    "Dropout1d": ("dropout1d", "p=0.5, inplace=False"),
    "Dropout2d": ("dropout2d", "p=0.5, inplace=False"),
    "Dropout3d": ("dropout3d", "p=0.5, inplace=False"),
    "AlphaDropout": ("alpha_dropout", "p=0.5, inplace=False"),
    "MaxPool1d": ("max_pool1d", _POOL),
    "MaxPool2d": ("max_pool2d", _POOL),
    "MaxPool3d": ("max_pool3d", _POOL),
    "AvgPool1d": ("avg_pool1d", _MEAN_POOL),
    "AvgPool2d": ("avg_pool2d", f"{_MEAN_POOL}, divisor_override=None"),
    "AvgPool3d": ("avg_pool3d", f"{_MEAN_POOL}, divisor_override=None"),
    "AdaptiveAvgPool1d": ("adaptive_avg_pool1d", "output_size"),
    "AdaptiveAvgPool2d": ("adaptive_avg_pool2d", "output_size"),
    "AdaptiveAvgPool3d": ("adaptive_avg_pool3d", "output_size"),
    "AdaptiveMaxPool1d": ("adaptive_max_pool1d", "output_size, return_indices=False"),
    "AdaptiveMaxPool2d": ("adaptive_max_pool2d", "output_size, return_indices=False"),
    "AdaptiveMaxPool3d": ("adaptive_max_pool3d", "output_size, return_indices=False"),
    "LPPool1d": ("lp_pool1d", "norm_type, kernel_size, stride=None, ceil_mode=False"),
    "LPPool2d": ("lp_pool2d", "norm_type, kernel_size, stride=None, ceil_mode=False"),
    "MaxUnpool1d": ("max_unpool1d", "kernel_size, stride=None, padding=0"),
    "MaxUnpool2d": ("max_unpool2d", "kernel_size, stride=None, padding=0"),
    "MaxUnpool3d": ("max_unpool3d", "kernel_size, stride=None, padding=0"),
    "PixelShuffle": ("pixel_shuffle", "upscale_factor"),
    "PixelUnshuffle": ("pixel_unshuffle", "downscale_factor"),
    "ChannelShuffle": ("channel_shuffle", "groups"),
    "Unfold": ("unfold", "kernel_size, dilation=1, padding=0, stride=1"),
    "Fold": ("fold", "output_size, kernel_size, dilation=1, padding=0, stride=1"),
    "Upsample": ("interpolate", "size=None, scale_factor=None, mode='nearest', align_corners=None, recompute_scale_factor=None"),
    "LocalResponseNorm": ("local_response_norm", "size, alpha=1e-4, beta=0.75, k=1.0"),
    "CosineSimilarity": ("cosine_similarity", "dim=1, eps=1e-8"),
    "PairwiseDistance": ("pairwise_distance", "p=2.0, eps=1e-6, keepdim=False"),
    "CrossEntropyLoss": ("cross_entropy", "weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0"),
    "NLLLoss": ("nll_loss", "weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean'"),
    "MSELoss": ("mse_loss", _LOSS),
    "L1Loss": ("l1_loss", _LOSS),
    "SmoothL1Loss": ("smooth_l1_loss", f"{_LOSS}, beta=1.0"),
    "HuberLoss": ("huber_loss", "reduction='mean', delta=1.0"),
    "BCELoss": ("binary_cross_entropy", f"weight=None, {_LOSS}"),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", f"weight=None, {_LOSS}, pos_weight=None"),
    "KLDivLoss": ("kl_div", f"{_LOSS}, log_target=False"),
    "CosineEmbeddingLoss": ("cosine_embedding_loss", f"margin=0.0, {_LOSS}"),
    "MarginRankingLoss": ("margin_ranking_loss", f"margin=0.0, {_LOSS}"),
    "HingeEmbeddingLoss": ("hinge_embedding_loss", f"margin=1.0, {_LOSS}"),
    "TripletMarginLoss": ("triplet_margin_loss", f"margin=1.0, p=2.0, eps=1e-6, swap=False, {_LOSS}"),
    "SoftMarginLoss": ("soft_margin_loss", _LOSS),
    "MultiMarginLoss": ("multi_margin_loss", f"p=1, margin=1.0, weight=None, {_LOSS}"),
    "MultiLabelMarginLoss": ("multilabel_margin_loss", _LOSS),
    "TripletMarginWithDistanceLoss": ("triplet_margin_with_distance_loss", "*, distance_function=None, margin=1.0, swap=False, reduction='mean'"),
    "MultiLabelSoftMarginLoss": ("multilabel_soft_margin_loss", f"weight=None, {_LOSS}"),
    "GaussianNLLLoss": ("gaussian_nll_loss", "*, full=False, eps=1e-6, reduction='mean'"),
    "PoissonNLLLoss": ("poisson_nll_loss", "log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction='mean'"),
    "CTCLoss": ("ctc_loss", "blank=0, reduction='mean', zero_infinity=False"),
}  # fmt: skip
_PADS = {
    "Constant": ("constant", ", value"),
    "Zero": ("constant", ""),
    "Reflection": ("reflect", ""),
    "Replication": ("replicate", ""),
    "Circular": ("circular", ""),
}
_TRAINED = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "rrelu")
_WEIGHTS = ("weight", "pos_weight")


class _Stateless(Module):
    """Calls a function with its inputs and what the constructor was given."""

    function: Callable[..., Any]
    signature: inspect.Signature

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__()
        given = type(self).signature.bind(*arguments, **keywords)
        given.apply_defaults()
        if given.arguments.get("size_average") is not None or given.arguments.get("reduce") is not None:
            raise NotImplementedError(
                f"{type(self).__name__}: size_average and reduce are not available; use reduction."
            )
        for name, value in given.arguments.items():
            if name in ("size_average", "reduce"):
                continue
            if name in _WEIGHTS:
                self.register_buffer(name, value)
            elif name == "stride" and value is None:
                self.stride = self.kernel_size
            else:
                setattr(self, name, value)

    def forward(self, *inputs: Any) -> Any:
        keywords = {name: getattr(self, name) for name in type(self).passed}
        keywords = {
            name: value
            for name, value in keywords.items()
            if type(self).accepted is None
            or name in type(self).accepted
            or value != type(self).signature.parameters[name].default
        }
        if type(self).trained:
            keywords["training"] = self.training
        return type(self).function(*inputs, **keywords, **type(self).fixed)

    def extra_repr(self) -> str:
        kept = {name: getattr(self, name) for name in type(self).passed}
        return ", ".join(f"{name}={value}" for name, value in kept.items() if not isinstance(value, Tensor))


def _signature(text: str) -> inspect.Signature:
    made: dict[str, Any] = {}
    exec(f"def constructor({text}): ...", made)
    return inspect.signature(made["constructor"])


def _accepted(function: Callable[..., Any]) -> frozenset[str] | None:
    """Names of a function's arguments; None where it does not tell."""
    try:
        return frozenset(inspect.signature(getattr(function, "__wrapped__", function)).parameters) | {"inplace"}
    except (TypeError, ValueError):
        return None


def _module(name: str, function: Callable[..., Any], text: str, **fixed: Any) -> type[Module]:
    signature = _signature(text)
    members = {
        "function": staticmethod(function),
        "signature": signature,
        "passed": tuple(n for n in signature.parameters if n not in ("size_average", "reduce")),
        "accepted": _accepted(function),
        "trained": function.__name__ in _TRAINED,
        "fixed": fixed,
        "__doc__": f"`{function.__name__}` as a module.",
        "__module__": "mindspore_impl.torch_api.nn",
    }
    return type(name, (_Stateless,), members)


class Identity(Module):
    """The input."""

    def __init__(self, *_: Any, **__: Any):
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Flatten(Module):
    """Some axes as one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)


class Unflatten(Module):
    """One axis as several."""

    def __init__(self, dim: int, unflattened_size: Any):
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)


class Softmax2d(Module):
    """Softmax over the channels of images."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3)


class UpsamplingNearest2d(Module):
    """`interpolate` to the nearest pixel."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__()
        self.size, self.scale_factor = size, scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(input, self.size, self.scale_factor, "nearest")


class UpsamplingBilinear2d(UpsamplingNearest2d):
    """`interpolate` by four neighbours, corners on corners."""

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(input, self.size, self.scale_factor, "bilinear", align_corners=True)


def stateless() -> dict[str, type[Module]]:
    """Every module without parameters by torch's name."""
    others = bound(named("torch"))
    made: dict[str, type[Module]] = {
        cls.__name__: cls
        for cls in (Flatten, Identity, Softmax2d, Unflatten, UpsamplingBilinear2d, UpsamplingNearest2d)
    }
    for name, (function, text) in _FUNCTIONS.items():
        known = vars(F).get(function) or (lifted(others[function], function) if function in others else None)
        if known is not None:
            made[name] = _module(name, known, text)
    for kind, (mode, value) in _PADS.items():
        for axes in (1, 2, 3):
            made[f"{kind}Pad{axes}d"] = _padding(f"{kind}Pad{axes}d", axes, mode, bool(value))
    return made


def _padding(name: str, axes: int, mode: str, with_value: bool) -> type[Module]:
    """Padding of the last ``axes`` axes."""

    def start(self: Any, padding: Any, *value: Any, **keywords: Any) -> None:
        Module.__init__(self)
        self.padding = (padding,) * (2 * axes) if isinstance(padding, int) else tuple(padding)
        self.value = (value[0] if value else keywords["value"]) if with_value else 0.0

    def forward(self: Any, input: Tensor) -> Tensor:
        if mode == "constant":
            return F.pad(input, self.padding, mode, self.value)
        return F.pad(input, self.padding, mode)

    members = {
        "__init__": start,
        "forward": forward,
        "__module__": "mindspore_impl.torch_api.nn",
        "__doc__": f"`pad`, mode {mode}.",
    }
    return type(name, (Module,), members)
