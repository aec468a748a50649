"""``load_dataset``: from a data section of the configuration to checked splits, with a column for each role of the
task.

Surrounding white space is no part of a text (of packed text only trailing white space is removed, since indentation may
matter). An empty text is an error, except in packed language modelling, where it is a blank line. Where a data set has
no validation split, a tenth of the training split, chosen by a fixed permutation, becomes it, and the rest is left in
the permuted order, because such sets tend to be sorted by label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from common import hub, modelscope
from common.data.classes import is_integer
from common.data.folders import expected_files, read_folder
from common.data.readers import Form, Table, published_classes, read_table
from common.data.registry import DATASETS, FILES, HUB, OWN, SPLITS, DatasetEntry
from common.data.roles import DEFAULT_COLUMNS, Reading
from common.errors import InputError, nearest
from common.reading import expanded

if TYPE_CHECKING:
    import datasets

    from common.config.schema import DataConfig
    from common.tasks.task import Task

__all__ = ["TextData", "load_dataset", "of_the_hub", "roles_of"]

Columns = dict[str, list[Any]]
_COLUMN_ENTRIES = ("text_column", "text_pair_column", "label_column", "prompt_column")
_FORM_ENTRIES = ("files", "label_separator", "separator", "columns")
_USUAL = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}  #: on the hub


@dataclass(frozen=True)
class TextData:
    """Checked text. ``splits`` always has train and validation; their columns are roles of the task."""

    splits: dict[str, datasets.Dataset]
    label_names: tuple[str, ...] | None  #: None where the task has no classes
    unlabelled: frozenset[str]  #: splits whose targets were not published
    notes: tuple[str, ...] = ()  #: what users should know of the data


def load_dataset(config: DataConfig, task: Task) -> TextData:
    """Read the data set that ``config`` names, from its directory, its files or the Hugging Face hub.

    Raises:
        InputError: the name is unknown, the data set does not fit ``task``, something is missing or out of reach, or a
            row is defective.
    """
    entry = _entry(config, task)
    _check_request(config, entry, task)
    if config.name == FILES:
        tables = {
            split: [
                read_table(
                    expanded(config.directory or "", path), Form(config.encoding, config.separator, config.columns)
                )
            ]
            for split, path in config.files.items()
        }
    elif config.name == HUB:
        tables = _read_any(config)
        entry = replace(entry, label_names=_classes_of(tables["train"][0], entry, task))
    elif config.directory is not None:
        tables = read_folder(entry, expanded(config.directory))
    else:
        tables = _read_hub(config.name, entry)
    names = _label_names(config, entry, tables["train"], task)
    order = entry.all_splits()
    splits = {split: _columns(config, entry, split, tables[split], task, names) for split in order if split in tables}
    if "validation" not in splits:
        splits["train"], splits["validation"] = _carve(splits["train"])
    data = _finish(config, task, splits, names)
    return replace(data, notes=(*_left_out(tables), *_not_scored(data), *_lost_classes(config, splits)))


def _label_names(
    config: DataConfig, entry: DatasetEntry, tables: Sequence[Table], task: Task
) -> tuple[str, ...] | None:
    """``data.label_names`` where given, else the task's.

    Raises:
        InputError: the task has no classes, or the data set has others.
    """
    chosen = config.label_names
    if not chosen:
        return task.label_names(entry, tables)
    published = entry.label_names
    names = task.label_names(replace(entry, label_names=published or chosen), tables)
    if names is None:
        raise InputError(f"Task {task.name} has no classes, so that data.label_names is not read. Remove it.")
    if published and set(chosen) != set(published):
        raise InputError(
            f"data.label_names must hold the classes of {config.name} in any order: {', '.join(published)}; received "
            f"{', '.join(chosen)}. Correct it, or remove it."
        )
    return task.label_names(replace(entry, label_names=chosen), tables)


def _left_out(tables: Mapping[str, Sequence[Table]]) -> Iterator[str]:
    for table in (table for parts in tables.values() for table in parts if table.left_out):
        yield f"{table.left_out} damaged lines of {table.source}, which lack fields, are left out."


def _not_scored(data: TextData) -> Iterator[str]:
    for split in data.splits:
        if split in data.unlabelled:
            yield f"The targets of the {split} split were not published, so that it is not scored."


def _lost_classes(config: DataConfig, splits: Mapping[str, Columns]) -> Iterator[str]:
    """Said of splits that are sorted by class, as published ones tend to be, and cut off."""
    for split, columns in splits.items():
        labels, count = columns.get("label", []), config.max_examples.get(split)
        every, kept = set(labels), set(labels[:count])
        if kept < every:
            yield (
                f"data.max_examples keeps the first {count} examples of the {split} split, which are of {len(kept)} of its "
                f"{len(every)} classes."
            )


def _finish(config: DataConfig, task: Task, splits: Mapping[str, Columns], names: tuple[str, ...] | None) -> TextData:
    from datasets import Dataset

    kept = {
        split: {name: values[: config.max_examples.get(split)] for name, values in columns.items()}
        for split, columns in splits.items()
    }
    targets = {role.name for role in task.roles if role.target and role.required}
    return TextData(
        splits={split: Dataset.from_dict(kept[split]) for split in dict.fromkeys((*SPLITS, *kept)) if split in kept},
        label_names=names,
        unlabelled=frozenset(split for split in kept if not targets <= kept[split].keys()),
    )


def _entry(config: DataConfig, task: Task) -> DatasetEntry:
    """The registered entry, or one made from the columns the user names."""
    if config.name in OWN:
        return DatasetEntry(roles=_own_roles(config, task), label_separator=config.label_separator)
    if config.name not in DATASETS:
        known = (*DATASETS, *OWN)
        raise InputError(
            f"data.name must be one of {', '.join(known)}; received {config.name!r}.{nearest(str(config.name), known)} "
            "For any other data set of the Hugging Face hub: data.name: hub, and its id in data.hub."
        )
    given = [f"data.{key}" for key in (*_COLUMN_ENTRIES, *_FORM_ENTRIES) if getattr(config, key)]
    if given:
        raise InputError(
            f"{', '.join(given)}: only data.name: files takes this; {config.name} has its own columns and files. "
            "Remove it."
        )
    return DATASETS[config.name]


def roles_of(config: DataConfig, task: Task) -> dict[str, tuple[str, ...]]:
    """The roles that a data set has for ``task``, with their columns, before anything of it is read."""
    return {
        name: columns for name, columns in _entry(config, task).roles.items() if name in {r.name for r in task.roles}
    }


def _own_roles(config: DataConfig, task: Task) -> dict[str, tuple[str, ...]]:
    """Roles of the user's own columns."""
    roles: dict[str, tuple[str, ...]] = {}
    for role in task.roles:
        name = getattr(config, role.entry) or DEFAULT_COLUMNS.get(role.name)
        if name is not None:
            roles[role.name] = (name,)
        elif role.required:
            raise InputError(
                f"Task {task.name} reads the column data.{role.entry}; give its name, or another model.task."
            )
    read = {role.entry for role in task.roles}
    unread = [f"data.{entry}" for entry in _COLUMN_ENTRIES if entry not in read and getattr(config, entry)]
    if unread:
        raise InputError(
            f"Task {task.name} does not read {', '.join(unread)}. Remove it, or set model.task to a task that does."
        )
    return roles


def _check_request(config: DataConfig, entry: DatasetEntry, task: Task) -> None:
    missing = [role.name for role in task.roles if role.required and role.name not in entry.roles]
    if missing:
        fitting = [name for name, other in DATASETS.items() if task.fits(other.roles)]
        raise InputError(
            f"Task {task.name} needs {', '.join(missing)}, which data set {config.name} does not have: it has "
            f"{', '.join(entry.roles)}. Choose another model.task, or one of {', '.join(fitting)}."
        )
    for key, splits in (("files", config.files), ("max_examples", config.max_examples)):
        unknown = set(splits) - set(SPLITS)
        if unknown:
            raise InputError(f"data.{key} takes the splits {', '.join(SPLITS)}; received {', '.join(sorted(unknown))}.")
    if config.name == FILES and "train" not in config.files:
        raise InputError("data.files must name at least the train file, for example data.files: {train: train.csv}.")
    if any(count < 1 for count in config.max_examples.values()):
        raise InputError(f"data.max_examples must be at least 1 for each split; received {config.max_examples}.")


def _read_any(config: DataConfig) -> dict[str, list[Table]]:
    """Every split of a data set of the hub that is not registered, under our names."""
    assert config.hub is not None  # `common.config.rules`
    loaded = _loaded_any(config.hub, config.hub_config)
    tables = {}
    for split, usual in _USUAL.items():
        names = (config.splits[split],) if split in config.splits else usual if not config.splits else ()
        found = next((name for name in names if name in loaded), None)
        if found is None and (split == "train" or split in config.splits):
            raise InputError(
                f"The data set {config.hub} should have the split {' or '.join(names) or 'train'}; it has "
                f"{', '.join(map(str, loaded))}. Name its splits in data.splits, for example {{train: {next(iter(loaded), 'train')}}}."
            )
        if found is not None:
            rows = loaded[found]
            classes = published_classes(rows.features.to_dict())
            tables[split] = [Table(f"{config.hub} ({found})", rows.to_dict(), range(1, len(rows) + 1), classes=classes)]
    return tables


def of_the_hub(config: DataConfig) -> list[hub.Wanted]:
    """What `load_dataset` would ask the Hugging Face hub for: a data set, or nothing."""
    if config.name == HUB and config.hub and not config.hub.startswith(modelscope.PREFIX):
        return [hub.data(config.hub)]
    registered = DATASETS[config.name].hub if config.name in DATASETS and config.directory is None else ""
    return [hub.registered_data(registered)] if registered else []


def _loaded_any(source: str, section: str | None) -> Any:
    """All splits of a data set of the Hugging Face hub, or of ModelScope."""
    if source.startswith(modelscope.PREFIX):
        folder = str(modelscope.data_folder(source))
        import datasets

        try:
            return datasets.load_dataset(folder, section)
        except Exception as error:  # errors of many libraries; all mean that the files are no tables
            first = next(iter(str(error).splitlines()), "").rstrip(".: ")
            raise InputError(
                f"The files of the data set {source} could not be read: {first}. Check data.hub and data.hub_config, or "
                "download them and name them with data.name: files."
            ) from error
    with hub.obtaining(hub.data(source)):
        import datasets

        return datasets.load_dataset(source, section)


def _classes_of(table: Table, entry: DatasetEntry, task: Task) -> tuple[str, ...] | None:
    """Names that are published with the numbers of the target column, for tasks that have one class an example."""
    columns = [entry.roles[role.name][0] for role in task.roles if role.name == "label" and role.name in entry.roles]
    return next((table.classes[column] for column in columns if column in table.classes), None)


def _read_hub(name: str, entry: DatasetEntry) -> dict[str, list[Table]]:
    if not entry.hub:
        raise InputError(
            f"Data set {name} is read from a folder. Give --data-dir FOLDER, which should hold {expected_files(entry)}."
        )
    with hub.obtaining(hub.registered_data(entry.hub)):
        import datasets

        branch = {"revision": entry.hub_revision} if entry.hub_revision else {}
        loaded = datasets.load_dataset(entry.hub, entry.hub_config, **branch)
    missing = [split for split in entry.splits if not {split, *entry.names.get(split, ())} & set(loaded)]
    if missing:
        raise InputError(
            f"Data set {entry.hub} on the hub should have the splits {', '.join(entry.splits)}; it has {', '.join(loaded)}."
        )
    tables: dict[str, list[Table]] = {}
    for split in entry.all_splits():
        for name in (split, *entry.names.get(split, ())):
            if name in loaded:
                rows = range(1, len(loaded[name]) + 1)
                classes = published_classes(loaded[name].features.to_dict())
                table = Table(f"{entry.hub} ({name})", loaded[name].to_dict(), rows, classes=classes)
                tables.setdefault(split, [table])
    return tables


def _columns(
    config: DataConfig,
    entry: DatasetEntry,
    split: str,
    tables: Sequence[Table],
    task: Task,
    names: tuple[str, ...] | None,
) -> Columns:
    """Checked columns of one split, shards joined."""
    columns: Columns = {}
    for table in tables:
        if len(table) == 0:
            raise InputError(f"{table.source} is empty: the {split} split needs at least one example.")
        for role in task.roles:
            if role.name not in entry.roles:
                continue
            names_of = entry.roles[role.name]
            there = tuple(name for name in names_of if name in table.columns)[:1]
            reading = Reading(
                accepted=there or names_of,  # messages name the column that is there
                roles=frozenset(entry.roles),
                label_names=names or (),
                numbered=_numbered(entry.label_names or config.label_names),
                unpublished=role.target and split.startswith("test"),
                marked=config.name not in OWN or bool(names and "-1" not in names),
                blank=entry.damaged,
                label_separator=entry.label_separator,
            )
            columns.setdefault(role.name, []).extend(role.read(table, reading))
    first = task.roles[0].name
    if not any(columns[first]):
        raise InputError(f"{tables[0].source} holds blank lines only: the {split} split needs at least one example.")
    return {key: values for key, values in columns.items() if values}


def _numbered(known: tuple[str, ...]) -> tuple[str, ...]:
    """Class names by the number that data may give instead: none where names are numbers themselves."""
    return () if any(map(is_integer, known)) else known


def _carve(train: Columns) -> tuple[Columns, Columns]:
    """Split (training, validation) 9 : 1 by a fixed permutation; raw Philox words keep it the same in every NumPy
    version."""
    count = len(next(iter(train.values())))
    if count < 2:
        raise InputError(
            "A validation split cannot be taken from one training example; give at least two, or a validation file."
        )
    order = np.argsort(np.random.Philox(key=[0, 0]).random_raw(count), kind="stable")
    held_out = max(1, count // 10)
    training, validation = (
        {name: [values[i] for i in part] for name, values in train.items()}
        for part in (order[held_out:], order[:held_out])
    )
    return training, validation
