"""Start values of LoRA's matrices.

``kaiming`` (PEFT's and loralib's) and ``gaussian`` (standard deviation 1 / rank, as PEFT's) begin with B = 0. ``pissa``
(Meng et al. 2024) and ``olora`` (Büyükakyüz 2024) begin with the part of the weight that is then trained, A0 and B0,
and take it off the frozen weight. Here the weight stays as it is and the layer takes the part off:

    y = W x + b + s B A x - s B0 A0 x

so that the adapted model starts as the base model and its file fits the original base model, as LoRA of twice the rank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.edits import Normal, Uniform
from common.errors import InputError
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec
from common.strict import check_finite

if TYPE_CHECKING:
    from common.methods.lora import LoraArguments

__all__ = ["FROM_WEIGHT", "Start", "random_start", "start_of", "weight_of"]

FROM_WEIGHT = ("pissa", "olora")  #: start values that are made of the weight


@dataclass(frozen=True, eq=False, repr=False)
class Start:
    """A0 and B0, float32, of the shapes of A and B."""

    init: str
    a: np.ndarray
    b: np.ndarray


def random_start(init: str, rank: int, inputs: int) -> Uniform | Normal:
    """Of A: Kaiming uniform with a = sqrt(5), or normal."""
    return Normal(1.0 / rank) if init == "gaussian" else Uniform(1.0 / math.sqrt(inputs))


def weight_of(module: ModuleSpec, init: str, spec: ModelSpec) -> np.ndarray:
    """The weight of a linear layer, as stored.

    Raises:
        InputError: it is no linear layer, or has no weight as it stands.
    """
    weight = spec.arrays.get(f"{module.path}.weight")
    if not module.kind.matrix or weight is None:
        raise InputError(
            f"init: {init} makes start values of a linear layer's own weight; {module.path} is a {module.kind.name} "
            "module. Leave it out of the targets, or use init: kaiming."
        )
    return weight


def start_of(init: str, module: ModuleSpec, arguments: LoraArguments, weight: np.ndarray) -> Start:
    """A0 and B0 of every adapted slice, computed in float64. ``pissa``: the largest singular values, whose roots either
    factor has; ``olora``: the first columns of Q and rows of R of the weight's QR decomposition.

    Args:
        weight: as stored.

    Raises:
        InputError: it is not finite.
    """
    check_finite({f"{module.path}.weight": weight}, f"init: {init}")
    exact = weight.astype(np.float64)
    exact = exact.T if module.kind.transposed else exact  # (out, in)
    pairs = [_FACTORS[init](exact[features], arguments) for features in arguments.parts]
    b, a = (np.concatenate(parts).astype(np.float32) for parts in zip(*pairs, strict=True))
    return Start(init, a, b)


def _pissa(weight: np.ndarray, arguments: LoraArguments) -> tuple[np.ndarray, np.ndarray]:
    left, values, right = np.linalg.svd(weight, full_matrices=False)
    roots = np.sqrt(values[: arguments.rank] / arguments.scaling)
    return left[:, : arguments.rank] * roots, roots[:, None] * right[: arguments.rank]


def _olora(weight: np.ndarray, arguments: LoraArguments) -> tuple[np.ndarray, np.ndarray]:
    q, r = np.linalg.qr(weight)
    return q[:, : arguments.rank], r[: arguments.rank]


_FACTORS = {"pissa": _pissa, "olora": _olora}
