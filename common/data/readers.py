"""Reading one file of text data into columns, strictly: every row is returned, or the file and line of the first defect
is reported.
 Formats by extension: ``.csv`` (RFC 4180 quoting, header), ``.tsv`` (no quoting, as in GLUE), ``.json`` (a list of
objects), ``.jsonl``, ``.parquet``, ``.txt`` (one text a line), ``.conll`` and ``.conllu`` (one word a line, see
`common.data.conll`). A folder stands for a table too: each of its subfolders is a class and holds one .txt file for
each text. Text is UTF-8, with or without a byte-order mark, unless a `Form` says otherwise; lines end in LF or CRLF,
and blank lines at the end of a table are no rows. A path with names in braces stands for parallel files
(`common.data.parallel`).
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common.errors import InputError, nearest
from common.reading import decoded, parse_json, read_bytes

__all__ = [
    "EXTENSIONS",
    "Form",
    "Table",
    "published_classes",
    "read_class_folders",
    "read_labelled_lines",
    "read_lines",
    "read_quoted",
    "read_separated",
    "read_table",
    "read_text",
]


_LARGEST = 8 * 2**30  #: bytes of a file
_MOST_COLUMNS = 1000  #: of a table
_EXCEL = re.compile(r'"?sep=(.)"?\r?(\n|$)')  #: first line of a csv file in which Excel names the separator
_INDEX = re.compile(r"(Unnamed: 0)?")  #: what pandas writes over the row numbers in the first column
_WHAT = "a file of data"
_CONVERT = "Convert the file, for example with iconv, or name its encoding in data.encoding."


@dataclass(frozen=True)
class Form:
    """How text files are written, where they are not as their extension says."""

    encoding: str = "utf-8"
    separator: str | None = None  #: of the fields of a line; None: a comma in .csv, a tab in .tsv, none in .txt
    columns: tuple[str, ...] = ()  #: of files without a header


@dataclass(frozen=True)
class Table:
    """Columns of equal length, and where each row came from."""

    source: str  #: file, or hub id and split
    columns: dict[str, list[Any]]
    lines: Sequence[int]  #: line (of parquet and the hub: row) of each row, from 1
    left_out: int = 0  #: lines that lack fields
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: names of numbered classes, by column
    files: Sequence[str] = ()  #: in ``source``, of each row, where every row has one of its own

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """``FILE, line N`` of a row."""
        return f"{self.source}, {self.files[row]}" if self.files else f"{self.source}, line {self.lines[row]}"

    def select(self, rows: Sequence[int]) -> Table:
        """Some of the rows."""
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        files = [self.files[row] for row in rows] if self.files else ()
        return Table(self.source, columns, [self.lines[row] for row in rows], self.left_out, self.classes, files)

    def column(self, names: Sequence[str]) -> list[Any]:
        """The first column among the accepted ``names``."""
        if not self.columns:
            raise InputError(
                f"{self.source} is empty; at least one row with the column {' or '.join(names)} was expected."
            )
        for name in names:
            if name in self.columns:
                return self.columns[name]
        only = next(iter(self.columns))
        joint = next((mark for mark in ";\t|," if mark in only), None) if len(self.columns) == 1 else None
        hint = f" Its fields seem to be separated by {joint!r}: set data.separator." if joint else ""
        raise InputError(
            f"{self.source} must have the column {' or '.join(names)}; it has {_listed(self.columns)}."
            f"{hint or nearest(names[0], self.columns)} A file without a header needs data.columns."
        )


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The whole file as text.

    Raises:
        InputError: the file is missing, unreadable or not of the ``encoding`` (with the line of the first bad byte).
    """
    content = read_bytes(path, _WHAT, "Check the path.", _LARGEST)
    marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    remedy = "It begins as UTF-16 does: set data.encoding: utf-16." if marked else _CONVERT
    text = decoded(content, f"{path}", "text", remedy, encoding)
    if text.count("\0") > len(text) / 5:  # every other byte of most scripts
        order = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
        raise InputError(f"{path} holds zeros between its characters, as UTF-16 does: set data.encoding: {order}.")
    return text


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """Lines without their ends. Only LF and CRLF end a line: other Unicode separators occur inside texts."""
    lines = [line.removesuffix("\r") for line in read_text(path, encoding).split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def _without_blank_end(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    return lines[:end]


def read_separated(
    path: Path,
    separator: str,
    columns: Sequence[str] = (),
    known: Iterable[str] = (),
    optional: int = 0,
    damaged: bool = False,
    encoding: str = "utf-8",
) -> Table:
    """Unquoted fields. The first line is a header if it names a ``known`` column or if there are no default
    ``columns``. With a space as separator the last column takes the rest of the line.

    Args:
        optional: how many of the last ``columns`` a line may lack; it then has none of them.
        damaged: leave out lines that lack fields, and count them.
    """
    lines = _without_blank_end(read_lines(path, encoding))
    most = len(columns) - 1 if separator == " " and columns else -1
    first = lines[0].split(separator, most) if lines else []
    has_header = bool(first) and (not columns or not set(known).isdisjoint(first))
    names = _header(path, first) if has_header else list(columns)
    skip = int(has_header)
    rows = [(number, line.split(separator, most)) for number, line in enumerate(lines[skip:], skip + 1)]
    if optional and not has_header:
        short = len(names) - optional
        rows = [(number, [*row, *[""] * optional] if len(row) == short else row) for number, row in rows]
    whole = [(number, row) for number, row in rows if not damaged or len(row) >= len(names)]
    return replace(_rows_to_table(path, names, whole), left_out=len(rows) - len(whole))


def read_labelled_lines(path: Path) -> Table:
    """Lines of the form ``label text``."""
    lines = _without_blank_end(read_lines(path))
    rows = [line.split(" ", 1) for line in lines]
    return _rows_to_table(path, ["label", "text"], enumerate(rows, 1))


def _read_txt(path: Path, form: Form) -> Table:
    if form.separator is not None or form.columns:
        return _read_separated(path, form, form.separator or "\t")
    lines = read_lines(path, form.encoding)
    return Table(str(path), {"text": lines}, range(1, len(lines) + 1))


def _read_separated(path: Path, form: Form, separator: str) -> Table:
    """A user's own file: the header is the first line unless the form names the columns; then it may repeat them."""
    return read_separated(path, separator, form.columns, _repeated(form), encoding=form.encoding)


def _repeated(form: Form) -> tuple[str, ...]:
    """A first line that names the first column is the header also where the columns are given."""
    return form.columns[:1]


def read_quoted(
    path: Path,
    columns: Sequence[str] = (),
    known: Iterable[str] = (),
    separator: str = ",",
    encoding: str = "utf-8",
) -> Table:
    """A csv file. The first line is a header unless it has as many fields as ``columns`` and names neither one of them
    nor a ``known`` column; before it Excel may have named the separator."""
    csv.field_size_limit(2**31 - 1)  # documents may exceed the default of 128 KiB
    text = read_text(path, encoding)
    named = _EXCEL.match(text)
    separator, before = (named[1], 1) if named else (separator, 0)
    reader = csv.reader(io.StringIO(text[named.end() if named else 0 :], newline=""), strict=True, delimiter=separator)
    start = 1 + before
    numbered = []
    try:
        for row in reader:
            numbered.append((start, row))
            start = reader.line_num + 1 + before  # a quoted field may span lines
    except csv.Error as error:
        raise InputError(
            f"{path}, line {start}: a record of a csv file was expected; {error}. Is a quotation mark unbalanced?"
        ) from error
    while numbered and not "".join(numbered[-1][1]).strip():
        numbered.pop()
    if not numbered:
        return Table(str(path), {}, [])
    first = numbered[0][1]
    if len(first) == len(columns) and {*columns, *known}.isdisjoint(first):
        return _rows_to_table(path, columns, numbered)
    return _rows_to_table(path, _header(path, first), numbered[1:])


def _read_csv(path: Path, form: Form) -> Table:
    table = read_quoted(path, form.columns, (), form.separator or ",", form.encoding)
    if form.columns and table.columns and list(table.columns) != list(form.columns):
        raise InputError(
            f"{path}, line 1: {len(form.columns)} fields were expected, as data.columns names {', '.join(form.columns)}; "
            f"found {len(table.columns)}. Correct data.columns or data.separator."
        )
    return table


def _read_jsonl(path: Path, form: Form) -> Table:
    lines = _without_blank_end(read_lines(path, form.encoding))
    remedy = "Each line of a .jsonl file is an object of its own; correct it."
    objects = [(n, parse_json(line, f"{path}, line {n}", "an object", remedy)) for n, line in enumerate(lines, 1)]
    return _objects_to_table(path, objects)


def _read_json(path: Path, form: Form) -> Table:
    remedy = "For one object a line, name the file .jsonl."
    objects = parse_json(read_text(path, form.encoding), f"{path}", "a list of objects", remedy)
    if not isinstance(objects, list):
        raise InputError(f"{path} must hold a list of objects; it holds {type(objects).__name__}. {remedy}")
    return _objects_to_table(path, list(enumerate(objects, 1)), unit="item")


def _read_parquet(path: Path, form: Form) -> Table:
    import pyarrow
    import pyarrow.parquet

    remedy = "It may be truncated; copy or download it again."
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
        names = table.column_names
        columns = table.to_pydict()
    except (OSError, ValueError, TypeError, KeyError, OverflowError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read as a parquet file: {error}. {remedy}") from error
    if len(set(names)) != len(names):
        raise InputError(f"{path}: columns must have different names; received {', '.join(names)}.")
    content = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    origin = f"{path}, its metadata 'huggingface'"
    described = parse_json(
        content, origin, "the description of a data set", remedy, {"info?": (None, {"features?": (None, dict)})}
    )
    features = (described.get("info") or {}).get("features") or {}
    return Table(str(path), columns, range(1, len(table) + 1), classes=published_classes(features))


def published_classes(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of the classes of every column that has numbered ones, or lists of them, from ``Features.to_dict()`` of the
    library ``datasets``, which it also writes into parquet files."""
    found = {}
    for column, feature in features.items():
        while (isinstance(feature, list) and feature) or (isinstance(feature, dict) and "feature" in feature):
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
            names = feature.get("names")
            if isinstance(names, list) and all(isinstance(name, str) for name in names):
                found[column] = tuple(names)
    return found


def _read_conll(path: Path, form: Form) -> Table:
    from common.data.conll import read_conll

    return read_conll(path, form.columns, form.separator, form.encoding)


def _read_conllu(path: Path, form: Form) -> Table:
    from common.data.conll import read_conllu

    return read_conllu(path, form.encoding)


def read_class_folders(folder: Path, names: Mapping[str, str] | None = None, encoding: str = "utf-8") -> Table:
    """``text`` and ``label`` of every .txt file in the subfolders of ``folder``, as IMDB is published.

    Args:
        names: subfolder to class; others are left out. None: every subfolder is a class of its name.

    Raises:
        InputError: there is no such file, or one cannot be read.
    """
    inside = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    known = {name: name for name in inside} if names is None else names
    found = [(f"{name}/{path.name}", known[name]) for name in known for path in sorted((folder / name).glob("*.txt"))]
    if not found:
        raise InputError(
            f"A folder of data holds a subfolder for each class ({', '.join(known) or 'none is there'}), with a .txt file for "
            f"each text; {folder} has no such file. Name a file, or another folder."
        )
    columns = {
        "text": [read_text(folder / file, encoding) for file, _ in found],
        "label": [label for _, label in found],
    }
    return Table(str(folder), columns, [1] * len(found), files=[file for file, _ in found])


_READERS: dict[str, Callable[[Path, Form], Table]] = {
    ".csv": _read_csv,
    ".tsv": lambda path, form: _read_separated(path, form, form.separator or "\t"),
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
    ".txt": _read_txt,
    ".conll": _read_conll,
    ".conllu": _read_conllu,
}
EXTENSIONS = tuple(_READERS)


def read_table(path: Path, form: Form | None = None) -> Table:
    """Read a file in the format its extension names, or a folder with a subfolder for each class.

    Raises:
        InputError: the extension is unknown or the content is not in the format, with the line.
    """
    from common.data.parallel import is_parallel, read_parallel

    form = form or Form()
    if is_parallel(path):
        return read_parallel(path, form.encoding)
    if os.path.isdir(path):
        return read_class_folders(path, encoding=form.encoding)
    if path.suffix.lower() not in _READERS:
        raise InputError(
            f"The extension of {path} must be one of {', '.join(EXTENSIONS)}; received {path.suffix or 'none'!r}."
        )
    if not os.path.isfile(path):
        raise InputError(f"There is no file {path}.")
    return _READERS[path.suffix.lower()](path, form)


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:20]) + (f" and {len(listed) - 20} more" if len(listed) > 20 else "")


def _header(path: Path, names: list[str]) -> list[str]:
    """Column names; the first is empty where pandas wrote row numbers, which are no column."""
    names = [name.strip() for name in names]
    if len(names) > 1 and _INDEX.fullmatch(names[0]):
        names[0] = ""
    if len(set(names)) != len(names) or not all(names[1:]) or names == [""]:
        raise InputError(
            f"{path}, line 1: column names must be given and differ; received {_listed(map(repr, names))}. A file "
            "without a header needs data.columns."
        )
    return names


def _rows_to_table(path: Path, names: Sequence[str], numbered: Iterable[tuple[int, list[str]]]) -> Table:
    lines, rows = [], []
    for line, row in numbered:
        if len(row) != len(names):
            raise InputError(
                f"{path}, line {line}: {len(names)} columns were expected ({_listed(names)}); found {len(row)}."
            )
        lines.append(line)
        rows.append(row)
    return Table(str(path), {name: [row[i] for row in rows] for i, name in enumerate(names) if name}, lines)


def _objects_to_table(path: Path, numbered: list[tuple[int, Any]], unit: str = "line") -> Table:
    """A key that an object lacks is None there; who reads the column says whether it may be."""
    names: dict[str, None] = {}
    for line, value in numbered:
        if not isinstance(value, dict):
            raise InputError(f"{path}, {unit} {line}: an object was expected; found {type(value).__name__}.")
        names |= dict.fromkeys(value)
        if len(names) > _MOST_COLUMNS:
            raise InputError(f"{path}, {unit} {line}: the objects have more than {_MOST_COLUMNS} different keys.")
    columns = {name: [value.get(name) for _, value in numbered] for name in names}
    return Table(str(path), columns, [line for line, _ in numbered])
