"""Regular expressions that come with files of strangers, matched in bounded time.

PEFT matches the keys of ``rank_pattern`` and ``alpha_pattern`` with Python's ``re``, which takes
time exponential in the length of the name for patterns such as ``(a|aa)+``. The library ``regex``
has the same language and a limit in time. google-re2 would be linear, but lacks lookahead, which
such patterns use; refusing nested quantifiers would refuse harmless ones and miss ``(a|a)*``.
"""

from __future__ import annotations

import functools
import itertools
import re

import regex

from common.errors import InputError

__all__ = ["match_suffix_pattern"]

_SECONDS = 1.0  #: of one match; a pattern that means something takes microseconds
_LONGEST = 10_000  #: characters of a pattern
_DEEPEST = 100  #: parentheses in parentheses; Python's own limit moves with its recursion limit


def match_suffix_pattern(pattern: str, path: str, origin: str = "adapter_config.json") -> bool:
    """Whether PEFT's ``pattern`` means the module ``path``: it matches all of it, or what follows one of its dots.

    Raises:
        InputError: it is no regular expression, or takes too long; ``origin`` is named as where it stands.
    """
    try:
        return _compiled(pattern).match(path, timeout=_SECONDS) is not None
    except TimeoutError:
        problem = f"takes longer than {_SECONDS:g} s to be compared with {path!r}"
    except (regex.error, re.error, RecursionError, OverflowError, ValueError, MemoryError) as error:
        problem = f"is none: {error or type(error).__name__}"
    raise InputError(
        f"{origin}: patterns must be regular expressions for names of modules; {ascii(pattern)[:120]} {problem}. "
        "Write the names themselves, or a pattern without repetitions inside repetitions."
    ) from None


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> regex.Pattern[str]:
    if not isinstance(pattern, str) or len(pattern) > _LONGEST:
        raise ValueError(f"patterns are text of at most {_LONGEST:,} characters")
    depths = itertools.accumulate({"(": 1, ")": -1}.get(character, 0) for character in pattern)
    if max(depths, default=0) > _DEEPEST:
        raise ValueError(f"patterns hold at most {_DEEPEST} parentheses inside one another")
    re.compile(rf"(.*\.)?({pattern})$")  # what Python refuses PEFT refuses, though regex may take it
    return regex.compile(rf"(.*\.)?({pattern})$", regex.V0)
