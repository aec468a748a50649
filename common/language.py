"""The language of the run page and of the first messages: English, or what a catalogue in ``common/translations`` has.

English text stands in the code and is the key of its translation. Nothing is translated outside of `speaking`, so that
what programs read stays as it is.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from common.errors import InputError
from common.resources import package_folder

__all__ = ["ENGLISH", "LANGUAGES", "catalogue", "chosen", "current", "in_english", "speaking", "term", "translated"]

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")
_VARIABLE = "TWINLORA_LANG"
_spoken: ContextVar[str] = ContextVar("language", default=ENGLISH)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def chosen(named: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """The language that a user wants: the one named, or that of ``TWINLORA_LANG``, or of the locale, or English.

    Raises:
        InputError: there is no such language.
    """
    for origin, value in (("--lang", named), (_VARIABLE, environ.get(_VARIABLE))):
        if value:
            if value not in LANGUAGES:
                raise InputError(f"{origin} must be one of {', '.join(LANGUAGES)}; received {value!r}.")
            return value
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return next((language for language in LANGUAGES if locale.casefold().startswith(language)), ENGLISH)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Translate what is written inside the block."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def in_english(function: _Function) -> _Function:
    """For a function that writes English and calls others that would translate."""

    @functools.wraps(function)
    def inner(*given: Any, **named: Any) -> Any:
        with speaking(ENGLISH):
            return function(*given, **named)

    return inner  # type: ignore[return-value]


def current() -> str:
    """The language of what is written here."""
    return _spoken.get()


def translated(text: str, /, **values: Any) -> str:
    """``text`` in the language of the block, English where it has none, with ``values`` in the place of its fields::

    translated("best, step {step}", step=40)
    """
    found = text if current() == ENGLISH else catalogue(current())["messages"].get(text, text)
    return found.format(**values) if values else found


def term(word: str) -> str:
    """The name of a metric, a split or another thing that is named by programs; unchanged where it has no
    translation."""
    return word if current() == ENGLISH else catalogue(current())["terms"].get(word, word)


@functools.cache
def catalogue(language: str) -> Mapping[str, Mapping[str, str]]:
    """``messages`` and ``terms`` of a language, by their English."""
    file = package_folder("common") / "translations" / f"{language}.json"
    return json.loads(file.read_text(encoding="utf-8"))
