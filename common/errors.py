"""The two ways a command can fail, and the exit code of each.

Every message states the rule, what was received and what to do.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

from common.terminal import printable

__all__ = ["InputError", "RunError", "TwinloraError", "nearest", "run_script"]


class TwinloraError(Exception):
    """An error meant for the person at the terminal: shown without a traceback."""

    exit_code = 1


class InputError(TwinloraError):
    """Bad usage or bad input: configuration, data, checkpoint, arguments. Nothing was run or written."""

    exit_code = 2


class RunError(TwinloraError):
    """A run that started and could not finish, for example because its loss became NaN."""

    exit_code = 1


def nearest(word: str, known: Iterable[str], limit: int = 3) -> str:
    """Return `` Nearest: a, b.`` for the known words that resemble ``word``, or an empty string."""
    matches = difflib.get_close_matches(word, list(known), n=limit, cutoff=0.5)
    return f" Nearest: {', '.join(matches)}." if matches else ""


def run_script(main: Callable[[], object]) -> NoReturn:
    """End the process with what ``main`` comes to: 0, or the exit code of an error meant for the user, whose message is shown."""
    try:
        main()
    except TwinloraError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    sys.exit(0)
