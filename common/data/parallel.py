"""Parallel texts: line n of one file belongs to line n of the other. Files may be compressed by gzip (``.gz``).

A pair of files is written as one path with the languages in braces: ``train.{de,en}`` are ``train.de`` and
``train.en``, whose lines become the columns ``de`` and ``en``.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from common.data.readers import Table, read_lines
from common.errors import InputError
from common.reading import decoded, read_bytes

__all__ = ["is_parallel", "read_parallel", "read_together", "sides"]

_BRACES = re.compile(r"(?P<before>.*)\{(?P<names>[^{},/]+(?:,[^{},/]+)+)\}(?P<after>[^{}]*)")
_PACKED = ".gz"
_LARGEST = 8 * 2**30  #: bytes, packed and unpacked


def is_parallel(path: Path) -> bool:
    """Whether a path stands for several files."""
    return _BRACES.fullmatch(str(path)) is not None


def sides(path: Path) -> dict[str, Path]:
    """The file of every name in the braces of ``path``.

    Raises:
        InputError: a name is listed twice.

    Example:
        >>> {name: str(file) for name, file in sides(Path("data/train.{de,en}.gz")).items()}
        {'de': 'data/train.de.gz', 'en': 'data/train.en.gz'}
    """
    found = _BRACES.fullmatch(str(path))
    assert found is not None  # `is_parallel`
    names = [name.strip() for name in found["names"].split(",")]
    if len(set(names)) < len(names):
        raise InputError(f"{path}: the names in braces must differ; received {', '.join(names)}.")
    return {name: Path(f"{found['before']}{name}{found['after']}") for name in names}


def read_parallel(path: Path, encoding: str = "utf-8") -> Table:
    """The table of a path with braces.

    Raises:
        InputError: a file is missing or unreadable, or they have different numbers of lines.
    """
    return read_together(sides(path), str(path), encoding)


def read_together(files: Mapping[str, Path], source: str, encoding: str = "utf-8") -> Table:
    """Files of as many lines each, as columns of their names; blank lines at the ends of all are no rows.

    Args:
        source: what the table is called in messages.

    Raises:
        InputError: as `read_parallel`.
    """
    columns = {name: _lines(file, encoding) for name, file in files.items()}
    counts = {name: len(lines) for name, lines in columns.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{files[name]} has {count:,}" for name, count in counts.items())
        raise InputError(
            "Parallel files must have the same number of lines, since line n of one belongs to line n of the other: "
            f"{listed}. A line may be missing, or the files may not belong together."
        )
    count = next(iter(counts.values()))
    while count and not any(lines[count - 1].strip() for lines in columns.values()):
        count -= 1
    return Table(source, {name: lines[:count] for name, lines in columns.items()}, range(1, count + 1))


def _lines(path: Path, encoding: str) -> list[str]:
    if path.suffix.lower() != _PACKED:
        return read_lines(path, encoding)
    content = read_bytes(path, "a file of data", "Check the path.", _LARGEST)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            content = file.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be unpacked by gzip: {error}. Copy or download it again.") from error
    if len(content) > _LARGEST:
        raise InputError(f"{path} unpacks to more than {_LARGEST:,} bytes. Divide it.")
    text = decoded(content, str(path), "text", "Name its encoding in data.encoding.", encoding)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines
