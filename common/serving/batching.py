"""The queue of one artifact: texts that wait together are computed together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.serving.counts import Counts
from common.serving.model import Answers

__all__ = ["Batcher", "Full"]

_BATCHES = 4  #: that are taken from the queue at a time, so that texts of one length meet
Compute = Callable[[Sequence[Mapping[str, Any]], Mapping[str, Any]], Awaitable[Answers]]


class Full(Exception):  # noqa: N818  (no error of the server: somebody has to come again)
    """The queue takes no more. ``seconds``: after which it may."""

    def __init__(self, seconds: int):
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class _Waiting:
    row: Mapping[str, Any]
    options: Mapping[str, Any]
    answer: asyncio.Future[Any]
    since: float


class Batcher:
    """Answers texts in the order in which they came, some at a time.

    Args:
        compute: the answers to rows; called again when it has returned.
        rows: of a batch; 1 computes every text by itself.
        wait: seconds that a text waits for others.
        most: texts that may wait.
        counts: what happens is counted there.
    """

    def __init__(self, compute: Compute, rows: int, wait: float, most: int, counts: Counts):
        self._compute, self._rows, self._most, self.counts = compute, rows, most, counts
        self._wait = wait if rows > 1 else 0.0
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._computing = 0

    @property
    def waiting(self) -> int:
        """Texts that are not answered yet."""
        return len(self._queue) + self._computing

    @property
    def full(self) -> bool:
        """Whether it takes no text more."""
        return not self._room(1)

    def _room(self, texts: int) -> bool:
        """Whether so many more may wait. Those whose client has left do not."""
        if self.waiting + texts > self._most:
            kept = [one for one in self._queue if not one.answer.cancelled()]
            self.counts.gone += len(self._queue) - len(kept)
            self._queue = deque(kept)
        return self.waiting + texts <= self._most

    def submit(self, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> list[asyncio.Future[Any]]:
        """Queue the texts of a request; each future gets an answer or an exception as its result, and is cancelled by
        whoever no longer wants it.

        Raises:
            Full: they do not all fit.
        """
        if not self._room(len(rows)):
            raise Full(self.counts.seconds_for(self.waiting))
        loop, now = asyncio.get_running_loop(), time.perf_counter()
        added = [_Waiting(row, options, loop.create_future(), now) for row in rows]
        self._queue.extend(added)
        self._arrived.set()
        return [one.answer for one in added]

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._arrived.wait()
            if self._queue:
                await self._gather()
                await self._answer(self._take())
            else:
                self._arrived.clear()

    async def _gather(self) -> None:
        """Wait until there is a batch, or the first text has waited long enough."""
        end = self._queue[0].since + self._wait
        while len(self._queue) < self._rows and (left := end - time.perf_counter()) > 0:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except asyncio.TimeoutError:
                break
        self._arrived.set()

    def _take(self) -> list[_Waiting]:
        most = 1 if self._rows == 1 else _BATCHES * self._rows
        found: list[_Waiting] = []
        while self._queue and len(found) < most:
            one = self._queue.popleft()
            if one.answer.cancelled():
                self.counts.gone += 1
            else:
                found.append(one)
        return found

    async def _answer(self, taken: list[_Waiting]) -> None:
        if not taken:
            return
        self._computing = len(taken)
        begun = time.perf_counter()
        try:
            answers = await self._compute([one.row for one in taken], taken[0].options)
        finally:
            self._computing = 0
        done = time.perf_counter()
        self.counts.batch(len(taken), done - begun)
        for one, answer in zip(taken, answers, strict=True):
            self.counts.answered(done - one.since, isinstance(answer, Exception))
            if not one.answer.done():
                one.answer.set_result(answer)
