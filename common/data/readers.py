"""Reading one file of text data into columns, strictly: every row is returned, or the file and line of the first defect is reported.

Formats by extension: ``.csv`` (RFC 4180 quoting, header), ``.tsv`` (no quoting, as in GLUE), ``.json`` (a list of objects), ``.jsonl``,
``.parquet``, ``.txt`` (one text a line), ``.conll`` and ``.conllu`` (one word a line, see `common.data.conll`).
Text is UTF-8, with or without a byte-order mark; lines end in LF or CRLF.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common.errors import InputError, nearest

__all__ = [
    "EXTENSIONS",
    "Table",
    "published_classes",
    "read_labelled_lines",
    "read_lines",
    "read_quoted",
    "read_separated",
    "read_table",
    "read_text",
]


@dataclass(frozen=True)
class Table:
    """Columns of equal length, and where each row came from."""

    source: str  #: file, or hub id and split
    columns: dict[str, list[Any]]
    lines: Sequence[int]  #: line (of parquet and the hub: row) of each row, from 1
    left_out: int = 0  #: lines that lack fields
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: names of numbered classes, by column

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """``FILE, line N`` of a row."""
        return f"{self.source}, line {self.lines[row]}"

    def select(self, rows: Sequence[int]) -> Table:
        """Some of the rows."""
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        return Table(self.source, columns, [self.lines[row] for row in rows], self.left_out, self.classes)

    def column(self, names: Sequence[str]) -> list[Any]:
        """The first column among the accepted ``names``."""
        if not self.columns:
            raise InputError(
                f"{self.source} is empty; at least one row with the column {' or '.join(names)} was expected."
            )
        for name in names:
            if name in self.columns:
                return self.columns[name]
        raise InputError(
            f"{self.source} must have the column {' or '.join(names)}; it has {', '.join(self.columns)}.{nearest(names[0], self.columns)}"
        )


def read_text(path: Path) -> str:
    """The whole file as text.

    Raises:
        InputError: the file is missing, unreadable or not UTF-8 (with the line of the first bad byte).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: text must be UTF-8; byte 0x{content[error.start]:02x} is not. Convert the file, for example with iconv."
        ) from error


def read_lines(path: Path) -> list[str]:
    """Lines without their ends. Only LF and CRLF end a line: other Unicode separators occur inside texts."""
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def read_separated(
    path: Path,
    separator: str,
    columns: Sequence[str] = (),
    known: Iterable[str] = (),
    optional: int = 0,
    damaged: bool = False,
) -> Table:
    """Unquoted fields. The first line is a header if it names a ``known`` column or if there are no default ``columns``.

    Args:
        optional: how many of the last ``columns`` a line may lack; it then has none of them.
        damaged: leave out lines that lack fields, and count them.
    """
    lines = read_lines(path)
    first = lines[0].split(separator) if lines else []
    has_header = bool(first) and (not columns or not set(known).isdisjoint(first))
    names = _header(path, first) if has_header else list(columns)
    skip = int(has_header)
    rows = [(number, line.split(separator)) for number, line in enumerate(lines[skip:], skip + 1)]
    if optional and not has_header:
        short = len(names) - optional
        rows = [(number, [*row, *[""] * optional] if len(row) == short else row) for number, row in rows]
    whole = [(number, row) for number, row in rows if not damaged or len(row) >= len(names)]
    return replace(_rows_to_table(path, names, whole), left_out=len(rows) - len(whole))


def read_labelled_lines(path: Path) -> Table:
    """Lines of the form ``label text``."""
    lines = read_lines(path)
    rows = [line.split(" ", 1) for line in lines]
    return _rows_to_table(path, ["label", "text"], enumerate(rows, 1))


def _read_txt(path: Path) -> Table:
    lines = read_lines(path)
    return Table(str(path), {"text": lines}, range(1, len(lines) + 1))


def read_quoted(path: Path, columns: Sequence[str] = (), known: Iterable[str] = ()) -> Table:
    """A csv file. The first line is a header unless it has as many fields as ``columns`` and names neither one of them
    nor a ``known`` column."""
    csv.field_size_limit(2**31 - 1)  # documents may exceed the default of 128 KiB
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    start = 1
    numbered = []
    try:
        for row in reader:
            numbered.append((start, row))
            start = reader.line_num + 1  # a quoted field may span lines
    except csv.Error as error:
        raise InputError(
            f"{path}, line {start}: a record of a csv file was expected; {error}. Is a quotation mark unbalanced?"
        ) from error
    if not numbered:
        return Table(str(path), {}, [])
    first = numbered[0][1]
    if len(first) == len(columns) and {*columns, *known}.isdisjoint(first):
        return _rows_to_table(path, columns, numbered)
    return _rows_to_table(path, _header(path, first), numbered[1:])


def _read_jsonl(path: Path) -> Table:
    return _objects_to_table(
        path, [(number, _parse(path, line, number)) for number, line in enumerate(read_lines(path), 1)]
    )


def _read_json(path: Path) -> Table:
    objects = _parse(path, read_text(path), 1)
    if not isinstance(objects, list):
        raise InputError(
            f"{path} must hold a list of objects; it holds {type(objects).__name__}. For one object a line, name the file .jsonl."
        )
    return _objects_to_table(path, list(enumerate(objects, 1)), unit="item")


def _parse(path: Path, text: str, first_line: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        line = first_line + getattr(error, "lineno", 1) - 1
        raise InputError(f"{path}, line {line}: JSON was expected; {getattr(error, 'msg', error)}.") from error


def _read_parquet(path: Path) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read as a parquet file: {error}. It may be truncated; copy or download it again."
        ) from error
    described = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    features = described.get("info", {}).get("features") or {}
    return Table(str(path), table.to_pydict(), range(1, len(table) + 1), classes=published_classes(features))


def published_classes(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of the classes of every column that has numbered ones, or lists of them, from ``Features.to_dict()`` of the
    library ``datasets``, which it also writes into parquet files."""
    found = {}
    for column, feature in features.items():
        while isinstance(feature, list) or (isinstance(feature, dict) and "feature" in feature):
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
            found[column] = tuple(feature["names"])
    return found


def _read_conll(path: Path) -> Table:
    from common.data.conll import read_conll

    return read_conll(path)


def _read_conllu(path: Path) -> Table:
    from common.data.conll import read_conllu

    return read_conllu(path)


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": read_quoted,
    ".tsv": lambda path: read_separated(path, "\t"),
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
    ".txt": _read_txt,
    ".conll": _read_conll,
    ".conllu": _read_conllu,
}
EXTENSIONS = tuple(_READERS)


def read_table(path: Path) -> Table:
    """Read a file in the format its extension names.

    Raises:
        InputError: the extension is unknown or the content is not in the format, with the line.
    """
    if path.suffix.lower() not in _READERS:
        raise InputError(
            f"The extension of {path} must be one of {', '.join(EXTENSIONS)}; received {path.suffix or 'none'!r}."
        )
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    return _READERS[path.suffix.lower()](path)


def _header(path: Path, names: list[str]) -> list[str]:
    if len(set(names)) != len(names) or not all(names):
        raise InputError(
            f"{path}, line 1: column names must be given and differ; received {', '.join(map(repr, names))}."
        )
    return names


def _rows_to_table(path: Path, names: Sequence[str], numbered: Iterable[tuple[int, list[str]]]) -> Table:
    lines, rows = [], []
    for line, row in numbered:
        if len(row) != len(names):
            raise InputError(
                f"{path}, line {line}: {len(names)} columns were expected ({', '.join(names)}); found {len(row)}."
            )
        lines.append(line)
        rows.append(row)
    return Table(str(path), {name: [row[i] for row in rows] for i, name in enumerate(names)}, lines)


def _objects_to_table(path: Path, numbered: list[tuple[int, Any]], unit: str = "line") -> Table:
    names = list(numbered[0][1]) if numbered and isinstance(numbered[0][1], dict) else []
    for line, value in numbered:
        if not isinstance(value, dict) or set(value) != set(names):
            found = f"the keys {', '.join(value)}" if isinstance(value, dict) else type(value).__name__
            raise InputError(
                f"{path}, {unit} {line}: an object with the keys {', '.join(names) or '(of the first)'} was expected; found {found}."
            )
    return Table(
        str(path), {name: [value[name] for _, value in numbered] for name in names}, [line for line, _ in numbered]
    )
