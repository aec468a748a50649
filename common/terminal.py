"""Text from files, models and data on its way to a terminal: what would steer the terminal instead of being read is
shown as an escape."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

__all__ = ["json_line", "notice", "printable", "printable_line"]

# Control characters of ASCII and Latin-1, line and paragraph separators, marks that turn the direction of writing, and
# lone surrogates
_STEERING = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff"
_TEXT = re.compile(f"[{_STEERING}]")
_LINE = re.compile(rf"[{_STEERING}\t\n]")
_said: set[str] = set()


def printable(text: str) -> str:
    r"""``text`` with everything that steers a terminal as a visible escape; lines and tabs stay.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    return _TEXT.sub(_escape, text)


def printable_line(text: str) -> str:
    """`printable` for what must stay one line: line ends and tabs are escaped too."""
    return _LINE.sub(_escape, text)


def json_line(value: Any) -> str:
    """``value`` as JSON on one line, readable except for what steers a terminal or ends a line, which is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return _LINE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def notice(text: str) -> None:
    """Say ``text`` on standard error, once per process however often it is said."""
    if text not in _said:
        _said.add(text)
        print(f"note: {printable(text)}", file=sys.stderr)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")
