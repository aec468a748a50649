"""Decomposing the convolutions of a network of one's own, in either framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import InputError

__all__ = ["Decomposed", "decompose"]


@dataclass(frozen=True)
class Decomposed:
    """One convolution that became a chain."""

    path: str
    ranks: tuple[int, ...]
    before: int  #: numbers in its kernel
    after: int  #: numbers in the chain
    error: float  #: of the kernel, relative, in the Frobenius norm


def decompose(
    model: Any,
    method: str,
    *,
    ranks: Sequence[int] | int | None = None,
    share: float | None = None,
    targets: Sequence[str] | str = ("*",),
) -> list[Decomposed]:
    """Replace convolutions by chains of smaller ones, in place. Both frameworks get the same kernels for the same ones.

        found = twinlora.decompose(net, "tucker", share=0.3, targets=["features.*"])

    ``cp`` (Lebedev et al. 2015): 1 x 1 to R channels, each axis of the window channel by channel, 1 x 1 to the outputs.
    ``tucker`` (Kim et al. 2016): 1 x 1 to fewer channels, the window among these, 1 x 1 to the outputs. Stride, padding and
    dilation go to the stages with the window, the bias to the last one. The network computes what the approximated
    kernels compute; train it on to win back what that loses.

    Args:
        model: a ``torch.nn.Module`` or a ``mindspore.nn.Cell``.
        ranks: ``[R]`` or R of cp; ``[outputs, inputs]`` of tucker.
        share: of a kernel, the numbers that its chain may hold: the largest ranks of which that holds.
        targets: patterns on the paths of convolutions in one or two dimensions, without groups.

    Raises:
        InputError: a pattern matches nothing; a convolution has no smaller chain, is the whole model, has hooks or
            stands at several paths, or its weight does; nothing was changed.
    """
    from fnmatch import fnmatchcase
    from importlib import import_module

    from common import backend as backends
    from common.decomposition import DecompositionOptions, decomposed

    origins = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    name = next((name for name, framework in backends.BACKENDS.items() if framework in origins), None)
    if name is None:
        raise InputError(f"A torch.nn.Module or a mindspore.nn.Cell is decomposed; received {type(model).__name__}.")
    listed = ranks if ranks is None else tuple(ranks) if isinstance(ranks, Sequence) else (ranks,)
    options = DecompositionOptions(method, listed, share)
    options.check()
    targets = (targets,) if isinstance(targets, str) else tuple(targets)
    if not targets:
        raise InputError("targets must name at least one convolution; received none.")
    decomposing = import_module(f"{backends.load(name).__name__}.decomposing")
    there = decomposing.convolutions(model)
    missed = [target for target in targets if not any(fnmatchcase(path, target) for path in there)]
    if missed:
        raise InputError(
            f"Every target must match a convolution; {missed[0]!r} matches none of {', '.join(there) or 'none'}."
        )
    wanted = [path for path in there if any(fnmatchcase(path, target) for target in targets)]
    chains = {}
    for path in wanted:
        one = there[path]
        if one.obstacle:
            raise InputError(f"{path or 'The model'} {one.obstacle}")
        chains[path] = decomposed(path, one.kernel, one.groups, options)
    for path, chain in chains.items():
        decomposing.replace(model, path, chain)
    return [Decomposed(path, one.ranks, one.before, one.after, one.error) for path, one in chains.items()]
