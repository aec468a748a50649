"""Losses; torch's deprecated arguments size_average and reduce are left out, and what follows them is taken by keyword
only."""

from __future__ import annotations

from typing import Any

from mindspore import Tensor

from mindspore_impl.shims.nn.base import Wrapper

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class _Plain(Wrapper):
    """A loss without arguments of its own."""

    name = ""

    def __init__(self, *, reduction: str = "mean"):
        super().__init__(self.name, reduction=reduction)


class L1Loss(_Plain):
    """Distances."""

    name = "l1_loss"


class MSELoss(_Plain):
    """Squared distances."""

    name = "mse_loss"


class MultiLabelMarginLoss(_Plain):
    """Hinges of other classes' scores against those of the labels."""

    name = "multilabel_margin_loss"


class SoftMarginLoss(_Plain):
    """log(1 + exp(-target input))."""

    name = "soft_margin_loss"


class _Margin(Wrapper):
    """A loss with a margin, 0 unless given."""

    name = ""

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean"):
        super().__init__(self.name, margin=margin, reduction=reduction)


class CosineEmbeddingLoss(_Margin):
    """By the cosine of two vectors."""

    name = "cosine_embedding_loss"


class MarginRankingLoss(_Margin):
    """By the order of two scores."""

    name = "margin_ranking_loss"


class HingeEmbeddingLoss(Wrapper):
    """By a distance and whether it should be large."""

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean"):
        super().__init__("hinge_embedding_loss", margin=margin, reduction=reduction)


class CrossEntropyLoss(Wrapper):
    """-log softmax at the target."""

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(
            "cross_entropy",
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )


class NLLLoss(Wrapper):
    """-input at the target."""

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__("nll_loss", weight=weight, ignore_index=ignore_index, reduction=reduction)


class SmoothL1Loss(Wrapper):
    """Squares below beta, distances above."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0):
        super().__init__("smooth_l1_loss", reduction=reduction, beta=beta)


class HuberLoss(Wrapper):
    """delta times the smooth L1 loss of beta = delta."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__("huber_loss", reduction=reduction, delta=delta)


class BCELoss(Wrapper):
    """Cross entropy of probabilities."""

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean"):
        super().__init__("binary_cross_entropy", weight=weight, reduction=reduction)


class BCEWithLogitsLoss(Wrapper):
    """Cross entropy of logits."""

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None):
        super().__init__("binary_cross_entropy_with_logits", weight=weight, reduction=reduction, pos_weight=pos_weight)


class KLDivLoss(Wrapper):
    """target (log target - input)."""

    def __init__(self, *, reduction: str = "mean", log_target: bool = False):
        super().__init__("kl_div", reduction=reduction, log_target=log_target)


class TripletMarginLoss(Wrapper):
    """How much nearer the positive should be than the negative."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, *, reduction: str = "mean"
    ):
        super().__init__("triplet_margin_loss", margin=margin, p=p, eps=eps, swap=swap, reduction=reduction)


class MultiMarginLoss(Wrapper):
    """Hinge over the other classes."""

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, *, reduction: str = "mean"):
        super().__init__("multi_margin_loss", p=p, margin=margin, weight=weight, reduction=reduction)


class MultiLabelSoftMarginLoss(Wrapper):
    """Cross entropy of several labels, the mean over classes."""

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean"):
        super().__init__("multilabel_soft_margin_loss", weight=weight, reduction=reduction)


class GaussianNLLLoss(Wrapper):
    """-log of the normal density."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        super().__init__("gaussian_nll_loss", full=full, eps=eps, reduction=reduction)


class PoissonNLLLoss(Wrapper):
    """-log of the Poisson probability."""

    def __init__(self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"):
        super().__init__("poisson_nll_loss", log_input=log_input, full=full, eps=eps, reduction=reduction)


class TripletMarginWithDistanceLoss(Wrapper):
    """By two distances of any kind."""

    def __init__(
        self, *, distance_function: Any = None, margin: float = 1.0, swap: bool = False, reduction: str = "mean"
    ):
        keywords = {"distance_function": distance_function, "margin": margin, "swap": swap, "reduction": reduction}
        super().__init__("triplet_margin_with_distance_loss", **keywords)
