"""Text while it is written."""

from __future__ import annotations

from collections.abc import Callable

from common.generation.stopping import Stopping

__all__ = ["TextStream"]

_INCOMPLETE = "\ufffd"  # what a tokenizer decodes the first bytes of a character to


class TextStream:
    """Turns tokens into pieces of text. What may still change is held back: an incomplete character, and what could be
    the beginning of a stop string.

    Args:
        emit: is called with prompt, sample and a piece that is not empty.
    """

    def __init__(self, emit: Callable[[int, int, str], None], stopping: Stopping):
        self._emit, self._stopping = emit, stopping
        self._tokens: dict[tuple[int, int], list[int]] = {}
        self._written: dict[tuple[int, int], int] = {}

    def token(self, prompt: int, sample: int, token: int) -> None:
        """Take in one token."""
        tokens = self._tokens.setdefault((prompt, sample), [])
        tokens.append(token)
        text = self._text(tokens)
        if token in self._stopping.ends or self._stopping.cut(text) != text:
            return  # the rest is written at the end
        text = text.rstrip(_INCOMPLETE)
        self._write((prompt, sample), text[: len(text) - self._held(text)])

    def end(self) -> None:
        """Write what was held back."""
        for key, tokens in self._tokens.items():
            self._write(key, self._stopping.cut(self._text(tokens)))
        self._tokens, self._written = {}, {}

    def _text(self, tokens: list[int]) -> str:
        assert self._stopping.decode is not None  # text needs a tokenizer
        return self._stopping.decode(self._stopping.without_end(tokens))

    def _held(self, text: str) -> int:
        """Characters at the end that a stop string may begin with."""
        lengths = (n for string in self._stopping.strings for n in range(1, len(string)) if text.endswith(string[:n]))
        return max(lengths, default=0)

    def _write(self, key: tuple[int, int], text: str) -> None:
        done = self._written.get(key, 0)
        if len(text) > done:
            self._emit(*key, text[done:])
            self._written[key] = len(text)
