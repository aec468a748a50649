"""Which parameter of a Cell is which of a torch module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from common.api_mapping.checking.inputs import noise
from common.errors import InputError

__all__ = ["matched", "moved"]

#: The last part of a torch key, and what MindSpore's own cells call it.
_SECOND = {
    "weight": ("weight", "gamma", "embedding_table"),
    "bias": ("bias", "beta"),
    "running_mean": ("running_mean", "moving_mean"),
    "running_var": ("running_var", "moving_variance"),
}


def matched(torch: Mapping[str, tuple[int, ...]], cell: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """The torch key of every parameter and buffer of the Cell.

    Args:
        torch: shape of every key of the state dict; keys of tied parameters may all be there.
        cell: shape of every parameter and persistent buffer.

    Raises:
        InputError: a parameter of the Cell has no counterpart of its shape, or one of torch's is left over.
    """
    second = {_second(name, other): name for name in torch for other in _others(name)}
    second |= {name: name for name in torch}
    found = {name: second[name] for name in cell if name in second}
    lacking = sorted({*cell} - {*found})
    shaped = [name for name in found if torch[found[name]] != cell[name]]
    if lacking or shaped:
        told = [f"{name} has no counterpart in torch's state dict" for name in lacking]
        told += [f"{name} is {cell[name]} here and {torch[found[name]]} in torch" for name in shaped]
        raise InputError(f"Both networks must have the same parameters: {'; '.join(told[:6])}.")
    return found


def _others(name: str) -> Iterable[str]:
    return _SECOND.get(name.rpartition(".")[2], ())


def _second(name: str, last: str) -> str:
    parent, dot, _ = name.rpartition(".")
    return f"{parent}{dot}{last}"


def moved(state: Mapping[str, np.ndarray], trained: Iterable[str], tied: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The state with noise on what is trained and on running statistics, since a bias of zeros hides where it goes.

    Args:
        tied: first name of every name, the same for parameters that are tied.
    """
    names = set(trained)
    found = {}
    for name, value in state.items():
        drawn = 0.05 * noise(value.shape, tied.get(name, name)) if value.dtype.kind == "f" else None
        if drawn is not None and name.endswith("running_var"):
            value = value + np.abs(drawn)
        elif drawn is not None and (name in names or name.endswith("running_mean")):
            value = value + drawn
        found[name] = np.asarray(value, dtype=state[name].dtype)
    return found
