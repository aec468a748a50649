"""Data-parallel training: what the processes of a job share, and how the work is divided. A backend implements `Group`
on its framework's collectives.
 Every process goes through the same steps in the same order and knows the whole plan of batches; it computes its own
micro-batches of each step, the gradients are summed, and all update alike. Masks of dropout belong to the micro-batch,
not to the process, so that two processes with b sequences each compute what one computes with two micro-batches of b.
 A process holds the whole model, or its share of the frozen weights (`Group.shard`), of which a layer is gathered while
it is computed. Then everybody is needed for every pass, so that all compute equally many batches: `share` with
``idle``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from common.errors import InputError

__all__ = ["ALONE", "Group", "micro_batch_size", "share", "spread", "sum_exactly"]

_PIECE = 2**22  #: numbers of one message, 8 MiB of content

Item = TypeVar("Item")


class Group(Protocol):
    """The processes of a job."""

    rank: int
    size: int

    def sum(self, tensors: Sequence[Any]) -> Sequence[Any]:
        """Each of the framework's float tensors, summed over the processes, as one message."""

    def sum_array(self, array: np.ndarray) -> np.ndarray:
        """A float32 array, summed over the processes."""

    def shard(self, model: Any, trained: Iterable[Any], *functions: Callable) -> tuple[Callable, ...]:
        """Divide all parameters of ``model`` but the ``trained`` ones among the processes.

        Returns:
            The ``functions``, whose first argument is the model, so that they find its parameters; all processes must
            call them alike.

        Raises:
            InputError: this backend cannot.
        """


class _Alone:
    rank, size = 0, 1

    def sum(self, tensors: Sequence[Any]) -> Sequence[Any]:
        return tensors

    def sum_array(self, array: np.ndarray) -> np.ndarray:
        return array

    def shard(self, model: Any, trained: Iterable[Any], *functions: Callable) -> tuple[Callable, ...]:
        return functions


ALONE: Group = _Alone()  #: the group of a single process


def share(
    items: Iterable[Item], group: Group, idle: Callable[[Item], Item] | None = None
) -> Iterator[tuple[int, Item]]:
    """What this process computes of ``items``, with their numbers: every ``group.size``-th, so that nothing is computed
    twice or left out.

    Args:
        idle: makes of an item one that counts for nothing. Where it is given, every process gets equally many items:
            whoever would be without one in the last round gets the last one made idle.
    """
    number = -1
    for number, item in enumerate(items):
        if number % group.size == group.rank:
            yield number, item
    if idle is not None and group.rank > number % group.size and number >= 0:
        yield number, idle(item)


def sum_exactly(group: Group, array: np.ndarray) -> np.ndarray:
    """A float64 array summed over the processes to about 48 bits: devices add in float32, so every process fills rows
    of its own and the host adds them."""
    if group.size == 1:
        return array
    array = np.asarray(array, np.float64)
    rows = np.zeros((group.size, 2, *array.shape), np.float32)
    rows[group.rank, 0] = array
    rows[group.rank, 1] = array - rows[group.rank, 0]
    return group.sum_array(rows).astype(np.float64).sum((0, 1))


def spread(group: Group, content: bytes, source: int = 0) -> bytes:
    """The ``content`` of process ``source``, in all of them; that of the others counts for nothing.

    Two bytes travel as one float32, which holds integers up to 2^24, and the others add zeros.
    """
    if group.size == 1:
        return content
    mine = group.rank == source
    size = np.array(divmod(len(content), 2**20) if mine else (0, 0), np.float32)
    high, low = group.sum_array(size)
    length = int(high) * 2**20 + int(low)
    pairs = np.frombuffer(content + b"\0" * (length % 2), "<u2") if mine else np.zeros(-(-length // 2), "<u2")
    pieces = (pairs[start : start + _PIECE] for start in range(0, len(pairs), _PIECE))
    found = [group.sum_array(piece.astype(np.float32)).astype("<u2").tobytes() for piece in pieces]
    return b"".join(found)[:length]


def micro_batch_size(global_batch_size: int, given: int | None, group: Group) -> int:
    """Sequences that a process computes at once: as given, or the global batch over all processes.

    Raises:
        InputError: the micro-batches of a step cannot be dealt out evenly.
    """
    if given is None and global_batch_size % group.size == 0:
        return global_batch_size // group.size
    if given is None or global_batch_size % (given * group.size):
        said = "is not set" if given is None else f"is {given}"
        raise InputError(
            f"Every process computes equally many micro-batches of a step: training.global_batch_size must be a multiple of micro_batch_size x processes. "
            f"It is {global_batch_size}, micro_batch_size {said}, and there are {group.size} processes."
        )
    return given
