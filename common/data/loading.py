"""``load_dataset``: from a data section of the configuration to checked splits, as columns ``text`` [, ``label``] [, ``prompt``].

Surrounding white space is no part of a text (of packed text only trailing white space is removed, since indentation may matter). An empty text is
an error, except in packed language modelling, where it is a blank line. Where a data set has no validation split, a tenth of the training
split, chosen by a fixed permutation, becomes it, and the rest is left in the permuted order, because such sets tend to be sorted by label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.config.schema import DataConfig
from common.data.folders import expected_files, read_folder
from common.data.readers import Table, read_table
from common.data.registry import DATASETS, FILES, SPLITS, DatasetEntry
from common.errors import InputError, nearest

if TYPE_CHECKING:
    import datasets

__all__ = ["TextData", "load_dataset"]

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class TextData:
    """Checked text. ``splits`` always has train and validation; columns are ``text`` [, ``label`` int] [, ``prompt``]."""

    kind: str  #: classification, text (packed language modelling) or completion (prompt + text)
    splits: dict[str, datasets.Dataset]
    label_names: tuple[str, ...] | None
    unlabelled: frozenset[str]  #: splits whose labels were not published; they have no column ``label``


def load_dataset(config: DataConfig, task: str) -> TextData:
    """Read the data set that ``config`` names, from its directory, its files or the Hugging Face hub.

    Raises:
        InputError: the name is unknown, the data set does not fit ``task``, something is missing or out of reach, or a row is defective.
    """
    entry = _entry(config)
    _check_request(config, entry, task)
    if config.name == FILES:
        tables = {
            split: [read_table(Path(config.directory or "", path).expanduser())] for split, path in config.files.items()
        }
    elif config.directory is not None:
        tables = read_folder(entry, Path(config.directory).expanduser())
    else:
        tables = _read_hub(config.name, entry)
    names = entry.label_names or (_label_names(entry, tables["train"]) if entry.label else None)
    splits = {split: _columns(config.name, entry, split, tables[split], names) for split in SPLITS if split in tables}
    if "validation" not in splits:
        splits["train"], splits["validation"] = _carve(splits["train"])
    return _finish(config, entry, splits, names)


def _finish(
    config: DataConfig, entry: DatasetEntry, splits: Mapping[str, Columns], names: tuple[str, ...] | None
) -> TextData:
    from datasets import Dataset

    kept = {
        split: {name: values[: config.max_examples.get(split)] for name, values in columns.items()}
        for split, columns in splits.items()
    }
    return TextData(
        kind=entry.kind,
        splits={split: Dataset.from_dict(kept[split]) for split in SPLITS if split in kept},
        label_names=names,
        unlabelled=frozenset(split for split in kept if names and "label" not in kept[split]),
    )


def _entry(config: DataConfig) -> DatasetEntry:
    """The registered entry, or one made from the columns the user names."""
    columns = {
        "text_column": config.text_column,
        "label_column": config.label_column,
        "prompt_column": config.prompt_column,
    }
    if config.name == FILES:
        label, prompt = (tuple(filter(None, [column])) for column in (config.label_column, config.prompt_column))
        if label and prompt:
            raise InputError(
                "data.label_column (classification) and data.prompt_column (language modelling) exclude each other; remove one."
            )
        return DatasetEntry(
            kind="classification" if label else "completion" if prompt else "text",
            text=(config.text_column or "text",),
            label=label,
            prompt=prompt,
        )
    if config.name not in DATASETS:
        known = (*DATASETS, FILES)
        raise InputError(
            f"data.name must be one of {', '.join(known)}; received {config.name!r}.{nearest(str(config.name), known)}"
        )
    given = [f"data.{key}" for key, value in (columns | {"files": config.files}).items() if value]
    if given:
        raise InputError(
            f"{', '.join(given)}: only data.name: files takes this; {config.name} has its own columns and files. Remove it."
        )
    return DATASETS[config.name]


def _check_request(config: DataConfig, entry: DatasetEntry, task: str) -> None:
    wanted = "sequence-classification" if entry.kind == "classification" else "language-modeling"
    if task != wanted:
        if config.name == FILES:
            advice = "give data.label_column" if wanted == "language-modeling" else "remove data.label_column"
        else:
            fitting = [
                name
                for name, other in DATASETS.items()
                if (other.kind == "classification") != (entry.kind == "classification")
            ]
            advice = f"choose one of {', '.join(fitting)}"
        raise InputError(
            f"Data set {config.name} is for the task {wanted}; model.task is {task}. Set model.task: {wanted}, or {advice}."
        )
    for key, splits in (("files", config.files), ("max_examples", config.max_examples)):
        unknown = set(splits) - set(SPLITS)
        if unknown:
            raise InputError(f"data.{key} takes the splits {', '.join(SPLITS)}; received {', '.join(sorted(unknown))}.")
    if config.name == FILES and "train" not in config.files:
        raise InputError("data.files must name at least the train file, for example data.files: {train: train.csv}.")
    if any(count < 1 for count in config.max_examples.values()):
        raise InputError(f"data.max_examples must be at least 1 for each split; received {config.max_examples}.")


def _read_hub(name: str, entry: DatasetEntry) -> dict[str, list[Table]]:
    import datasets

    try:
        loaded = datasets.load_dataset(entry.hub, entry.hub_config)
    except (
        Exception
    ) as error:  # the hub client raises errors of many libraries; all mean that the data could not be had
        local = f"download it elsewhere and give --data-dir FOLDER, which should hold {expected_files(entry)}"
        raise InputError(
            f"Data set {name} could not be loaded from the Hugging Face hub ({entry.hub}): {error}. Check the connection, or {local}."
        ) from error
    missing = [split for split in entry.splits if split not in loaded]
    if missing:
        raise InputError(
            f"Data set {entry.hub} on the hub should have the splits {', '.join(entry.splits)}; it has {', '.join(loaded)}."
        )
    return {
        split: [Table(f"{entry.hub} ({split})", loaded[split].to_dict(), range(1, len(loaded[split]) + 1))]
        for split in SPLITS
        if split in loaded
    }


def _label_names(entry: DatasetEntry, tables: Sequence[Table]) -> tuple[str, ...]:
    """Sorted distinct training labels, numerically if all are integers."""
    found = {str(value) for table in tables for value in table.column(entry.label)} - {"", "None"}
    if len(found) < 2:
        raise InputError(
            f"Classification needs at least two labels; column {entry.label[0]} of {tables[0].source} has {', '.join(sorted(found)) or 'none'}."
        )
    numeric = all(name.lstrip("-").isdecimal() for name in found)
    return tuple(sorted(found, key=lambda name: (int(name), name) if numeric else name))


def _columns(
    name: str, entry: DatasetEntry, split: str, tables: Sequence[Table], names: tuple[str, ...] | None
) -> Columns:
    """Checked columns of one split, shards joined."""
    columns: Columns = {"text": [], "label": [], "prompt": []}
    for table in tables:
        if len(table) == 0:
            raise InputError(f"{table.source} is empty: the {split} split needs at least one example.")
        columns["text"] += _texts(table, entry.text, blank_lines=entry.kind == "text")
        if entry.prompt:
            columns["prompt"] += _texts(table, entry.prompt)
        if entry.label:
            unpublished = split == "test" and name != FILES
            columns["label"] += _labels(table, entry, names or (), unpublished)
    if not any(columns["text"]):
        raise InputError(f"{tables[0].source} holds blank lines only: the {split} split needs at least one example.")
    return {key: values for key, values in columns.items() if values}


def _texts(table: Table, names: Sequence[str], blank_lines: bool = False) -> list[str]:
    texts = []
    for row, value in enumerate(table.column(names)):
        if not isinstance(value, str) or not (value.strip() or blank_lines):
            raise InputError(
                f"{table.where(row)}: a text was expected in column {names[-1]}; found {value!r}. Correct or remove the row."
            )
        texts.append(value.rstrip() if blank_lines else value.strip())
    return texts


def _labels(table: Table, entry: DatasetEntry, names: tuple[str, ...], unpublished: bool) -> list[int]:
    """Class indices; empty when labels may be ``unpublished`` and are (no column, or -1 throughout, as on the hub)."""
    if unpublished and set(entry.label).isdisjoint(table.columns):
        return []
    values = [str(value) for value in table.column(entry.label)]
    if unpublished and set(values) == {"-1"}:
        return []
    indices = {str(i): i for i in range(len(names))} if entry.label_names else {}
    indices |= {label: i for i, label in enumerate(names)}
    for row, value in enumerate(values):
        if value not in indices:
            raise InputError(
                f"{table.where(row)}: the label must be one of {', '.join(names)}; found {value!r}.{nearest(value, names)}"
            )
    return [indices[value] for value in values]


def _carve(train: Columns) -> tuple[Columns, Columns]:
    """Split (training, validation) 9 : 1 by a fixed permutation; raw Philox words keep it the same in every NumPy version."""
    count = len(train["text"])
    if count < 2:
        raise InputError(
            "A validation split cannot be taken from one training example; give at least two, or a validation file."
        )
    order = np.argsort(np.random.Philox(key=[0, 0]).random_raw(count), kind="stable")
    held_out = max(1, count // 10)
    return tuple(
        {name: [values[i] for i in part] for name, values in train.items()}
        for part in (order[held_out:], order[:held_out])
    )
