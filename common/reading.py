"""The one way in for bytes: whatever is wrong with a file becomes an `InputError` that names the file, the place in it,
and what to do.

    summary = read_json(path, "the summary of a run", "Train again with --overwrite.", {"status": str, "steps": int,
    "test?": dict})

A *shape* says what is expected:

- a type or several: ``int``, ``str | None``; ``float`` takes integers too, ``int`` and ``float``
  never take booleans;
- ``[shape]``: a list of such items;
- ``{"key": shape, "other?": shape}``: an object with these keys, those with a question mark being
  optional; it may have further ones;
- ``{...: shape}``: an object with any keys;
- ``(None, shape)``: either of them.

Standard library only.
"""

from __future__ import annotations

import codecs
import itertools
import json
import math
import re
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, get_args

from common.errors import InputError

__all__ = [
    "DEEPEST",
    "check_shape",
    "decoded",
    "expanded",
    "numbered_lines",
    "parse_json",
    "plain_problem",
    "read_bytes",
    "read_json",
    "read_json_lines",
    "read_text",
    "safe_child",
]

DEEPEST = 100  #: levels of lists and objects within one another
_LARGEST = 256 * 2**20  #: bytes of a file that is read as a whole, unless the caller says otherwise
_MOST_BITS = 256  #: of an integer; a float holds 1024
_SURROGATE = re.compile("[\ud800-\udfff]")
_NAMES = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def expanded(path: str | Path, *inside: str | Path) -> Path:
    """``path`` joined with what lies ``inside``, ``~`` and ``~user`` being replaced.

    Raises:
        InputError: the user is unknown, or HOME is not set and the account has no home directory.
    """
    try:
        return Path(path, *inside).expanduser()
    except RuntimeError as error:
        reason = str(error).rstrip(".")
        raise InputError(f"{Path(path, *inside)}: {reason}. Write the path without ~.") from error


def read_bytes(path: Path, what: str, remedy: str, limit: int | None = None) -> bytes:
    """The content of ``path``.

    Args:
        what: what the file is, for messages: "the configuration of a model".
        remedy: what the user can do about a file that is not, as sentences.
        limit: bytes; a longer file is refused before more of it is read. None: 256 MiB.

    Raises:
        InputError: it is missing, not readable, or too large.
    """
    limit = _LARGEST if limit is None else limit
    with _readable(path, what, remedy), open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise InputError(f"{path}: {what} has at most {limit:,} bytes; this file is larger. {remedy}")
    return content


@contextmanager
def _readable(path: Path, what: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: {what} was expected here; it cannot be read: {reason}. {remedy}") from error


def read_text(path: Path, what: str, remedy: str, limit: int | None = None) -> str:
    """The content of ``path``, which must be UTF-8; raises as `read_bytes`."""
    return decoded(read_bytes(path, what, remedy, limit), f"{path}", what, remedy)


def read_json(path: Path, what: str, remedy: str, shape: Any = object, limit: int | None = None) -> Any:
    """The JSON value in ``path``.

    Raises:
        InputError: as `read_bytes` and `parse_json`.
    """
    return parse_json(read_bytes(path, what, remedy, limit), f"{path}", what, remedy, shape)


def read_json_lines(path: Path, what: str, remedy: str, shape: Any = object) -> Iterator[tuple[str, Any]]:
    """(place, value) of every line of ``path`` that is not blank; the place is for messages. Raises as `read_json`; only
    a line has a limit, since the log of a long run may be larger."""
    with _readable(path, what, remedy):
        file = open(path, "rb")  # noqa: SIM115  (closed below)
    with file:
        for number in itertools.count(1):
            with _readable(path, what, remedy):
                line = file.readline(_LARGEST + 1)
            if not line:
                return
            place = f"{path}, line {number}"
            if len(line) > _LARGEST:
                raise InputError(
                    f"{place}: {what} has at most {_LARGEST:,} bytes in a line; this one is longer. {remedy}"
                )
            text = decoded(line, f"{path}", what, remedy, first=number).removesuffix("\n")
            if text.strip():
                yield place, parse_json(text, place, what, remedy, shape)


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines of a stream with their numbers, each as soon as it is there. A mark of the byte order at the beginning
    is no part of the first one, as in files."""
    for number, line in enumerate(iter(stream.readline, b""), 1):
        yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def parse_json(content: bytes | str, origin: str, what: str, remedy: str, shape: Any = object) -> Any:
    """The JSON value that ``content``, of the file or place ``origin``, is.

    Raises:
        InputError: it is not JSON, has a key twice, holds NaN, an infinity, an integer beyond 256 bits or an incomplete
            Unicode character, is nested more than `DEEPEST` levels deep, or is of another ``shape``.
    """
    text = content if isinstance(content, str) else decoded(content, origin, what, remedy)
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_not_json)
    except json.JSONDecodeError as error:
        at = f"column {error.colno}" if "\n" not in text else f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{origin}, {at}: {what} must be JSON: {error.msg}. {remedy}") from error
    except RecursionError as error:
        raise InputError(f"{origin}: {what} is nested more than {DEEPEST} levels deep. {remedy}") from error
    except ValueError as error:  # of the two functions above, or an integer of thousands of digits
        reason = "an integer is too long" if "digits" in str(error) else str(error)
        raise InputError(f"{origin}: {what} must be JSON: {reason}. {remedy}") from error
    problem = plain_problem(value)
    if problem:
        raise InputError(f"{origin}: {what} is not usable: {problem}. {remedy}")
    check_shape(value, shape, origin, what, remedy)
    return value


def plain_problem(value: Any) -> str | None:
    """What makes nested lists, dicts and scalars unusable wherever they came from, with its place; None where nothing
    does. Does not recurse."""
    waiting: list[tuple[Any, str, int]] = [(value, "", 0)]
    while waiting:
        item, place, depth = waiting.pop()
        where = place or "the value"
        if isinstance(item, dict | list):
            if depth >= DEEPEST:
                return f"{_cut(where)} is nested more than {DEEPEST} levels deep"
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            for key, inner in pairs:
                if isinstance(key, str) and _SURROGATE.search(key):
                    return f"a key of {_cut(where)} holds an incomplete Unicode character: {ascii(key)[:80]}"
                waiting.append(
                    (inner, f"{place}[{key}]" if isinstance(item, list) else f"{place}.{key}".lstrip("."), depth + 1)
                )
        elif isinstance(item, str) and _SURROGATE.search(item):
            return f"{_cut(where)} holds an incomplete Unicode character: {ascii(item)[:80]}"
        elif isinstance(item, float) and not math.isfinite(item):
            return f"{_cut(where)} must be a finite number; it is {item} or too large for one"
        elif isinstance(item, int) and item.bit_length() > _MOST_BITS:
            return f"{_cut(where)} must be an integer of at most {_MOST_BITS} bits; it has {item.bit_length()}"
    return None


def check_shape(value: Any, shape: Any, origin: str, what: str, remedy: str) -> None:
    """Raise InputError unless ``value`` is of ``shape`` (see the module's text)."""
    problem = _mismatch(value, shape, "")
    if problem:
        raise InputError(f"{origin}: {what} has another form: {problem}. {remedy}")


def safe_child(folder: Path, name: Any, origin: str) -> Path:
    """``folder / name`` for a ``name`` that a file (``origin``) gives: it must stay inside the folder.

    Decided by the name alone: in the hub's cache the files of a model are links to elsewhere, and those were not named
    by the model's author.

    Raises:
        InputError: the name is not text, is empty or absolute, climbs with ``..``, or holds a backslash or a control
            character.
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if (
        not parts
        or name.startswith("/")
        or ".." in parts
        or re.search(r"[\x00-\x1f\x7f\\]", name)
        or _SURROGATE.search(name)
    ):
        raise InputError(
            f"{origin}: the files that it names must be relative names inside {folder}; received {ascii(name)[:120]}. "
            "Correct the name, or get the files again from where they came."
        )
    return Path(folder, *parts)


def decoded(content: bytes, origin: str, what: str, remedy: str, encoding: str = "utf-8", first: int = 1) -> str:
    """``content`` as text, whose first line has the number ``first`` in the file; a mark of the byte order at its
    beginning is no part of it.

    Raises:
        InputError: a byte is not of the ``encoding``, whose line is named; or there is no such encoding of text.
    """
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise InputError(
            f"{origin}: Python knows no encoding of text {encoding!r}; utf-8, gb18030, utf-16 and latin-1 are some."
        ) from error
    except UnicodeError as error:  # UTF-16 without a mark is a UnicodeError without a place
        start = getattr(error, "start", 0)
        line = content.count(b"\n", 0, start) + first
        shown = f", 0x{content[start]:02x}," if start < len(content) else ""
        name = {"utf-8": "UTF-8"}.get(encoding, encoding)
        raise InputError(
            f"{origin}, line {line}: {what} must be {name} text; byte {start}{shown} is not. {remedy}"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {ascii(twice)[:80]} is given twice")
    return found


def _not_json(word: str) -> None:
    raise ValueError(f"{word} is no number in JSON")


def _cut(place: str) -> str:
    return place if len(place) <= 120 else f"{place[:60]}...{place[-40:]}"


def _mismatch(value: Any, shape: Any, place: str) -> str | None:
    where = _cut(place) or "it"
    if isinstance(shape, tuple):
        problems = [_mismatch(value, one, place) for one in shape]
        return None if None in problems else problems[-1]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} must be a list; received {_shown(value)}"
        return next(
            filter(None, (_mismatch(item, shape[0], f"{place}[{index}]") for index, item in enumerate(value))), None
        )
    if isinstance(shape, dict):
        return _mismatch_of_object(value, shape, place, where)
    kinds = get_args(shape) if isinstance(shape, types.UnionType) else (shape,)
    if any(_is(value, kind) for kind in kinds):
        return None
    wanted = " or ".join(_NAMES.get(kind, str(kind)) for kind in kinds)
    return f"{where} must be {wanted}; received {_shown(value)}"


def _mismatch_of_object(value: Any, shape: dict[Any, Any], place: str, where: str) -> str | None:
    if not isinstance(value, dict):
        return f"{where} must be an object; received {_shown(value)}"
    for key, inner in shape.items():
        if key is ...:
            found = next(
                filter(None, (_mismatch(item, inner, f"{place}.{name}".lstrip(".")) for name, item in value.items())),
                None,
            )
        elif (name := key.removesuffix("?")) in value:
            found = _mismatch(value[name], inner, f"{place}.{name}".lstrip("."))
        else:
            found = None if key.endswith("?") else f"{where} lacks {name!r}"
        if found:
            return found
    return None


def _is(value: Any, kind: type | None) -> bool:
    if isinstance(value, bool) and kind in (int, float):
        return False
    return isinstance(value, type(None) if kind is None else (int, float) if kind is float else kind)


def _shown(value: Any) -> str:
    return (
        f"{_NAMES.get(type(value), type(value).__name__)}, {ascii(value)[:60]}"
        if not isinstance(value, dict | list)
        else _NAMES[type(value)]
    )
