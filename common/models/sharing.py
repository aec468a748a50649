"""What a head shares with other modules, in checkpoints that hold it under two names, or under the other one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from common.errors import InputError
from common.models.family import HeadLayout

__all__ = ["united"]


def united(
    held: Mapping[str, np.ndarray], layout: HeadLayout, prefix: str, shapes: Mapping[str, tuple[int, ...]], remedy: str
) -> dict[str, np.ndarray]:
    """``held`` with each shared array under the name of its owner alone. A program that stores an array once may have
    kept either name.

    Args:
        prefix: of the base model's names, which checkpoints may lack.
        shapes: of every parameter of the model.
        remedy: what can be done where a tied weight has two values.

    Raises:
        InputError: the checkpoint holds different values under the two names, so that they are not one array.

    Example:
        >>> layout = HeadLayout("Net", "each", "head", tied_to="net.words")
        >>> sorted(united({"head.weight": np.ones(2)}, layout, "net", {"net.words.weight": (2,)}, ""))
        ['net.words.weight']
    """
    found = dict(held)
    for owner, other in _pairs(layout):
        if owner not in shapes or other not in held:
            continue
        names = (owner, owner.removeprefix(f"{prefix}."))
        stored = next((name for name in names if name in held), None)
        if stored is None:
            found[owner] = held[other]
        elif not np.array_equal(held[stored], held[other]):
            advice = remedy if owner.endswith(".weight") else f"Remove {other} from the checkpoint, or use another one."
            raise InputError(
                f"{other} and {stored} must be equal, since the head shares one array with that module; the checkpoint holds "
                f"different values for them. {advice}"
            )
        del found[other]
    return found


def _pairs(layout: HeadLayout) -> Iterator[tuple[str, str]]:
    """The names of each shared array: its owner's, and that of the output."""
    if layout.tied_to:
        yield f"{layout.tied_to}.weight", f"{layout.output}.weight"
    if layout.added:
        yield f"{layout.added}.bias", f"{layout.output}.bias"
