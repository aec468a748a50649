"""Writing a data set of texts with classes as files of one's own, with an experiment that reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.config import ExperimentConfig, from_yaml
from common.config.load import to_plain
from common.config.yaml_text import dump
from common.data.loading import TextData
from common.data.readers import read_table
from common.data.registry import OWN
from common.data.roles import Reading, read_texts
from common.errors import InputError
from common.files import write_atomic
from common.reading import expanded

if TYPE_CHECKING:
    import datasets

    from common.config.schema import DataConfig

__all__ = ["EXPERIMENT", "TEXTS", "named_rows", "read_unlabelled", "require_classes", "write_own"]

EXPERIMENT = "experiment.yaml"  #: in the folder, beside a file for each split
TEXTS = ("text", "text_pair")  #: roles that hold text
_FILES = OWN[0]
Row = Mapping[str, Any]


def require_classes(data: TextData, what: str) -> tuple[str, ...]:
    """The classes of ``data``.

    Raises:
        InputError: its rows are not texts of one class each.
    """
    rows = data.splits["train"]
    columns = set(rows.column_names)
    if data.label_names is None or "label" not in columns or not columns <= {*TEXTS, "label"}:
        raise InputError(
            f"{what} is for texts, or pairs of texts, of one class each; the rows have {', '.join(sorted(columns))}."
        )
    return data.label_names


def named_rows(rows: datasets.Dataset, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows whose class is given by its name."""
    found = []
    for row in rows:
        label = {"label": names[row["label"]]} if "label" in row else {}
        found.append({**{name: row[name] for name in TEXTS if name in row}, **label})
    return found


def read_unlabelled(path: str | Path, config: DataConfig, parts: Sequence[str]) -> list[dict[str, Any]]:
    """Texts without labels, stripped as those of a data set are, each once. Blank ones are left out.

    Args:
        path: a file of texts; in a .txt file a line is one. Others have the column of the experiment's texts, or
            ``text``.
        parts: roles that a row has, of `TEXTS`.

    Raises:
        InputError: the file cannot be read, has no such column, or holds there what is no text.
    """
    table = read_table(expanded(path))
    names = {"text": config.text_column or "text", "text_pair": config.text_pair_column or "text_pair"}
    columns = [
        read_texts(table, Reading((names[part], part), frozenset(parts), blank=True)) if len(table) else []
        for part in parts
    ]
    rows = dict.fromkeys(row for row in zip(*columns, strict=True) if all(row))
    if not rows:
        raise InputError(f"{path} holds no text.")
    return [dict(zip(parts, row, strict=True)) for row in rows]


def write_own(
    folder: Path,
    config: ExperimentConfig,
    data: TextData,
    train: Iterable[Row],
    place: Path | None = None,
    sections: Mapping[str, Any] | None = None,
) -> ExperimentConfig:
    """Write ``train`` in the place of the training split, the other splits as they are, and the experiment ``config``
    on these files. Equal arguments write equal bytes.

    Args:
        place: where the folder will stand, for the paths in the experiment; by default where it is.
        sections: further sections of the experiment, as plain values.
    """
    names = require_classes(data, "The data set")
    splits: dict[str, Iterable[Row]] = {"train": list(train)}
    for split, rows in data.splits.items():
        if split != "train" and split not in data.unlabelled:
            splits[split] = named_rows(rows, names)
    files = {}
    for split, rows in splits.items():
        path = folder / f"{split}.jsonl"
        write_atomic(path, "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows))
        files[split] = str((place or folder).resolve() / path.name)
    plain = to_plain(config)
    kept = {name: plain["data"][name] for name in ("max_length", "length_multiple")}
    pair = "text_pair" if "text_pair" in data.splits["train"].column_names else None
    columns = {"text_column": "text", "text_pair_column": pair, "label_column": "label"}
    plain |= {
        "data": {"name": _FILES, "files": files, **columns, "label_names": list(names), **kept},
        **(sections or {}),
    }
    text = dump(plain)
    write_atomic(folder / EXPERIMENT, text)
    return from_yaml(text, str(folder / EXPERIMENT))
