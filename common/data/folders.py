"""Finding the files of a registered data set in a local folder: the publishers' own names, or the layouts of the
hub."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

from common.data.conll import read_conll
from common.data.readers import (
    EXTENSIONS,
    Table,
    read_class_folders,
    read_labelled_lines,
    read_lines,
    read_quoted,
    read_separated,
    read_table,
    read_text,
)
from common.data.registry import DatasetEntry
from common.errors import InputError

__all__ = ["STEMS", "expected_files", "read_folder"]

STEMS = {  #: of file names, by split
    "train": ("train", "trainset"),
    "validation": ("validation", "valid", "val", "dev", "devset"),
    "test": ("test", "testset_w_refs"),
}
_SHARD = re.compile(r"(?P<stem>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})")


def _stems(entry: DatasetEntry, split: str) -> tuple[str, ...]:
    """File names of one split, without their extension."""
    return (*STEMS.get(split, (split,)), *entry.names.get(split, ()))


def expected_files(entry: DatasetEntry) -> str:
    """The file names looked for, for messages."""
    names = "; ".join(f"{split}: {' or '.join(_stems(entry, split))}" for split in entry.splits)
    listed = f"; or instead of validation: {entry.held_out[0]}" if entry.held_out else ""
    listed += f"; or {entry.layout}" if entry.layout else ""
    listed += f"; or the folders {' and '.join(entry.folders)} in a folder of each split" if entry.folders else ""
    if entry.files:
        published = "; ".join(f"{split}: {pattern}" for split, pattern in entry.files.items())
        return f"{published}. Or {names} (with the extension {', '.join(EXTENSIONS)}, or in shards)"
    return (
        f"{names}{listed} (with the extension {', '.join(EXTENSIONS)}, or in shards like train-00000-of-00001.parquet)"
    )


def read_folder(entry: DatasetEntry, folder: Path) -> dict[str, list[Table]]:
    """Read every split of a data set, each from one file or from shards.

    Raises:
        InputError: the folder or the file of a published split is missing, a split's file is ambiguous, a shard is
            missing, or a file has a defect.
    """
    if not folder.is_dir():
        raise InputError(f"The data folder {folder} does not exist. It should hold {expected_files(entry)}.")
    if entry.reader:
        published = importlib.import_module(f"common.data.formats.{entry.reader}").read(folder)
        if published.keys() >= set(entry.splits):
            return published
    found = {split: _find(entry, folder, split) for split in entry.all_splits()}
    held_out = None if found["validation"] else entry.held_out
    if held_out and not (folder / held_out[0]).is_file():
        held_out = None
    for split in entry.splits:
        if not found[split] and not (held_out and split == "validation"):
            raise InputError(
                f"The {split} file is missing from {folder}. The folder should hold {expected_files(entry)}."
            )
    tables = {split: [_read(entry, path) for path in paths] for split, paths in found.items() if paths}
    return _divide(tables, folder / held_out[0], held_out[1]) if held_out else tables


def _divide(tables: dict[str, list[Table]], path: Path, columns: tuple[str, ...]) -> dict[str, list[Table]]:
    """Take the validation split out of the training rows, by the ids in ``path``, one row of them a line."""
    wanted = {tuple(line.split("\t")): False for line in read_lines(path)}
    parts: dict[str, list[Table]] = {"train": [], "validation": []}
    for table in tables["train"]:
        ids = list(zip(*(table.column((name,)) for name in columns), strict=True))
        wanted |= {key: True for key in ids if key in wanted}
        parts["train"].append(table.select([row for row, key in enumerate(ids) if key not in wanted]))
        parts["validation"].append(table.select([row for row, key in enumerate(ids) if key in wanted]))
    for line, (key, there) in enumerate(wanted.items(), 1):
        if not there:
            raise InputError(
                f"{path}, line {line}: it must hold {', '.join(columns)} of a training row; there is none with "
                f"{', '.join(key)}. Is it the file of these training data?"
            )
    return tables | parts


def _find(entry: DatasetEntry, folder: Path, split: str) -> list[Path]:
    """Files of one split, in shard order; the hub puts them in a subfolder of its own."""
    published = sorted(folder.glob(entry.files[split])) if split in entry.files else []
    if published:
        _check_unambiguous(published, split)
        return published
    if entry.folders and any((folder / split / name).is_dir() for name in entry.folders):
        return [folder / split]
    for place in (
        folder,
        folder / "data",
        folder / "plain_text",
        *([folder / entry.hub_config] if entry.hub_config else []),
    ):
        candidates = sorted(
            path
            for path in place.glob("*")
            if path.suffix.lower() in EXTENSIONS and path.is_file() and _stem(path) in _stems(entry, split)
        )
        if candidates:
            _check_unambiguous(candidates, split)
            return candidates
    return []


def _stem(path: Path) -> str:
    shard = _SHARD.fullmatch(path.stem)
    return shard["stem"] if shard else path.stem


def _check_unambiguous(candidates: list[Path], split: str) -> None:
    """One file, or every shard of one set of shards."""
    shard = _SHARD.fullmatch(candidates[0].stem)
    if shard:
        count = int(shard["count"])
        wanted = [f"{shard['stem']}-{i:05d}-of-{count:05d}{candidates[0].suffix}" for i in range(count)]
    else:
        wanted = [candidates[0].name]
    names = [path.name for path in candidates]
    if names != wanted:
        missing = sorted(set(wanted) - set(names))
        rule = (
            f"is missing the shards {', '.join(missing)}" if missing else f"is ambiguous: {', '.join(names)}. Keep one"
        )
        raise InputError(f"The {split} split in {candidates[0].parent} {rule}.")


def _first_line(path: Path) -> str:
    return read_text(path).split("\n", 1)[0]


def _read(entry: DatasetEntry, path: Path) -> Table:
    if path.is_dir():
        return read_class_folders(path, entry.folders)
    if path.suffix.lower() == ".csv" and entry.joined:
        known = {name for names in entry.roles.values() for name in names}
        return _published(entry, read_quoted(path, entry.columns, known))
    return _read_as_is(entry, path)


def _published(entry: DatasetEntry, table: Table) -> Table:
    """The publisher's columns under the names of the hub: texts joined, classes by name instead of counted from 1.

    Raises:
        InputError: a number counts no class.
    """
    columns = dict(table.columns)
    if columns.keys() >= set(entry.joined):
        parts = zip(*(columns.pop(name) for name in entry.joined), strict=True)
        columns[entry.roles["text"][0]] = [" ".join(fields) for fields in parts]
    names = {str(number): name for number, name in enumerate(entry.label_names or (), 1)}
    if entry.counted in columns:
        numbers = [value.strip() for value in columns.pop(entry.counted)]
        for row, number in enumerate(numbers):
            if number not in names:
                raise InputError(
                    f"{table.where(row)}: the number of a class from 1 to {len(names)} was expected in column "
                    f"{entry.counted}; found {number!r}. Correct or remove the row."
                )
        columns[entry.roles["label"][0]] = [names[number] for number in numbers]
    return replace(table, columns=columns)


def _read_as_is(entry: DatasetEntry, path: Path) -> Table:
    suffix = path.suffix.lower()
    if entry.word_lines and suffix not in (".csv", ".json", ".jsonl", ".parquet"):
        return read_conll(path, entry.columns, entry.separator)
    tabs = suffix == ".csv" and entry.separator == "\t" and "\t" in _first_line(path)  # the STS benchmark's own files
    if entry.separator is None or not (tabs or suffix in (".txt", ".tsv")):
        return read_table(path)
    if entry.label_first:
        first = _first_line(path)
        indices = {str(index) for index in range(len(entry.label_names or ()))}
        if entry.separator not in first and first.split(" ", 1)[0] in indices:
            return read_labelled_lines(path)
    known = (*entry.roles["text"], *entry.roles.get("text_pair", ()))
    return read_separated(path, entry.separator, entry.columns, known, entry.optional, entry.damaged)
