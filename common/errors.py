"""The two ways a command can fail, and the exit code of each.

Every message states the rule, what was received and what to do.
"""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

from common.terminal import printable

__all__ = ["InputError", "InterruptedRunError", "RunError", "TwinloraError", "nearest", "of_system", "run_script"]

#: what the machine lacks or does; every other error of the system is about a name that was given
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EFBIG, errno.EROFS}
_ADVICE = {
    errno.ENOSPC: "Make room there",
    errno.EDQUOT: "Make room there, or ask for a larger quota",
    errno.EROFS: "Choose a place that can be written, or mount it for writing",
    errno.EACCES: "Change its permissions, or choose another place",
    errno.EPERM: "Change its permissions, or choose another place",
    errno.EMFILE: "Raise the number of files that a process may open: ulimit -n",
    errno.ENFILE: "Close other programs: the machine has too many files open",
    errno.EFBIG: "Raise the size that a file may have: ulimit -f",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


class TwinloraError(Exception):
    """An error meant for the person at the terminal: shown without a traceback."""

    exit_code = 1


class InputError(TwinloraError):
    """Bad usage or bad input: configuration, data, checkpoint, arguments. Nothing was run or written."""

    exit_code = 2


class RunError(TwinloraError):
    """A run that started and could not finish, for example because its loss became NaN."""

    exit_code = 1


class InterruptedRunError(RunError):
    """A run that somebody ended; its state is saved."""


def of_system(error: OSError | MemoryError, kept: str = "") -> TwinloraError:
    """What the operating system refused, as an error for the person at the terminal.

    Args:
        kept: what a run has saved, and how it is continued; the error is then a `RunError` in any case.

    Example:
        >>> str(of_system(OSError(errno.ENOSPC, "No space left on device", "runs/a")))
        'runs/a: No space left on device. Make room there, then try again.'
    """
    again = kept or "then try again."
    if isinstance(error, MemoryError):
        text = "The machine has no more memory. Take a smaller batch, model or file, or close other programs"
        return RunError(f"{text}, {again}")
    advice = _ADVICE.get(error.errno or 0, "Check that place")
    names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    reason = error.strerror or str(error) or type(error).__name__
    text = f"{names + ': ' if names else ''}{reason}. {advice}, {again}"
    return RunError(text) if kept or error.errno in _MACHINE else InputError(text)


def nearest(word: str, known: Iterable[str], limit: int = 3) -> str:
    """Return `` Nearest: a, b.`` for the known words that resemble ``word``, or an empty string."""
    matches = difflib.get_close_matches(word, list(known), n=limit, cutoff=0.5)
    return f" Nearest: {', '.join(matches)}." if matches else ""


def run_script(main: Callable[[], object]) -> NoReturn:
    """End the process with what ``main`` comes to: 0, or the exit code of an error meant for the user, whose message is
    shown."""
    try:
        main()
    except (TwinloraError, OSError, MemoryError) as error:
        shown = error if isinstance(error, TwinloraError) else of_system(error)
        print(f"error: {printable(str(shown))}", file=sys.stderr)
        sys.exit(shown.exit_code)
    sys.exit(0)
