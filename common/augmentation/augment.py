"""From an experiment's data to a data set with changed copies of its training texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.augmentation.tagging import Tagger, by_rule
from common.augmentation.words import Augmentation, Changes, Vocabulary, changed
from common.config import ExperimentConfig
from common.data import load_dataset
from common.data.own import TEXTS, named_rows, require_classes, write_own
from common.errors import InputError
from common.files import new_folder, refuse_existing, write_json
from common.random import Stream
from common.tasks import configured

__all__ = ["RECORD", "augment", "augmented"]

RECORD = "augmentation.json"  #: what was done, beside the data


def augment(
    config: ExperimentConfig,
    output: Path,
    how: Augmentation,
    seed: int = 0,
    mask: str = "[MASK]",
    tagger: Tagger = by_rule,
) -> dict[str, Any]:
    """Write a folder with the data set and its changed copies, and ``experiment.yaml`` that trains on it.

    Args:
        output: a new or empty folder.
        mask: what stands for a masked word: the mask token of the tokenizer that will read the texts.

    Returns:
        What is also written as augmentation.json.

    Raises:
        InputError: the settings do not fit, or the data are no texts with a class each.
    """
    faults = [f"{name} {text}" for name, text in how.problems()]
    if not mask.strip():
        faults.append("the mask token must be a word; received an empty one")
    if faults:
        raise InputError("The augmentation must fit:\n  " + "\n  ".join(faults))
    refuse_existing(output)
    data = load_dataset(config.data, configured(config.model))
    names = require_classes(data, "Augmentation")
    rows = named_rows(data.splits["train"], names)
    added, record = augmented(rows, how, seed, mask, tagger)
    with new_folder(output) as folder:
        write_own(folder, config, data, [*rows, *added], output)
        write_json(folder / RECORD, record)
    return record


def augmented(
    rows: Sequence[Mapping[str, Any]], how: Augmentation, seed: int, mask: str, tagger: Tagger = by_rule
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Changed copies of ``rows`` that differ from all of them and from each other, and what was done.

    A text is cut into words at white space. Copy i of row j is a function of (seed, i, j) and of the words of all rows.
    """
    parts = [name for name in TEXTS if rows and name in rows[0]]
    words = {name: [str(row[name]).split() for row in rows] for name in parts}
    tags = {name: tagger(listed) for name, listed in words.items()}
    every = [text for listed in words.values() for text in listed]
    vocabulary = Vocabulary.of(every, [tagged for listed in tags.values() for tagged in listed])
    known = {tuple(" ".join(words[name][index]) for name in parts) for index in range(len(rows))}
    known |= {tuple(str(row[name]) for name in parts) for row in rows}
    changes, found = Changes(), []
    for index, row in enumerate(rows):
        for copy in range(how.copies):
            stream = Stream((seed, copy), index)
            texts = tuple(
                " ".join(changed(words[name][index], tags[name][index], vocabulary, mask, how, stream, changes))
                for name in parts
            )
            if texts not in known and all(text.strip() for text in texts):
                known.add(texts)
                found.append({**row, **dict(zip(parts, texts, strict=True))})
    record = {
        "settings": dataclasses.asdict(how),
        "seed": seed,
        "mask": mask,
        "rows": len(rows),
        "copies": len(rows) * how.copies,
        "left_out_as_equal": len(rows) * how.copies - len(found),
        "added": len(found),
        "vocabulary": {tag: len(known) for tag, known in sorted(vocabulary.words.items())},
        "changes": dataclasses.asdict(changes),
    }
    return found, record
