"""When a text ends, and what of its tokens is the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.errors import InputError

__all__ = ["END", "LENGTH", "STOP", "Stopping"]

END = "end"  #: an end-of-text token
STOP = "stop"  #: a stop string
LENGTH = "length"  #: as many tokens as asked for


@dataclass(frozen=True)
class Stopping:
    """End-of-text tokens and stop strings.

    Raises:
        InputError: there are stop strings, and no tokenizer to find them with.
    """

    ends: frozenset[int]
    strings: tuple[str, ...] = ()
    decode: Callable[[Sequence[int]], str] | None = None

    def __post_init__(self) -> None:
        if self.strings and self.decode is None:
            raise InputError("stop_strings are found in text, which needs a tokenizer; none was given.")

    def reason(self, tokens: Sequence[int]) -> str | None:
        """Why the continuation ends with the last of its ``tokens``; None where it goes on."""
        if tokens[-1] in self.ends:
            return END
        if self.strings and self.decode is not None:
            text = self.decode(tokens)
            if any(string in text for string in self.strings):
                return STOP
        return None

    def without_end(self, tokens: Sequence[int]) -> list[int]:
        """The tokens without the end-of-text token."""
        return list(tokens[:-1] if tokens and tokens[-1] in self.ends else tokens)

    def cut(self, text: str) -> str:
        """The text up to the first stop string."""
        found = (text.find(string) for string in self.strings)
        return text[: min((place for place in found if place >= 0), default=len(text))]
