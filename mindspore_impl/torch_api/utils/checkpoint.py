"""``torch.utils.checkpoint``: the function is called, and its values are kept.

Results and gradients are torch's. Memory is not saved: nothing is computed a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["checkpoint", "checkpoint_sequential"]

_OPTIONS = ("use_reentrant", "context_fn", "determinism_check", "debug", "preserve_rng_state", "early_stop")


def checkpoint(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """What the function gives."""
    return function(*arguments, **{name: value for name, value in keywords.items() if name not in _OPTIONS})


def checkpoint_sequential(functions: Any, segments: int, input: Any, **_: Any) -> Any:
    """What the functions give, one after the other."""
    for function in functions:
        input = function(input)
    return input
