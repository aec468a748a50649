"""The experiment file of data that were looked at, with a comment for what was decided."""

from __future__ import annotations

import json
import math
import os
import shlex
from pathlib import Path

from common.errors import InputError
from common.starter.look import Found

__all__ = ["experiment_text"]

_BATCH = 16
_LONGEST = 512  #: tokens that every base model suggested here takes
_FEWEST = 200  #: optimizer steps, if that takes no more than so many epochs:
_MOST_EPOCHS = 20
_SHARE = 0.99  #: of the examples that are not cut


def experiment_text(found: Found, model: str | None, file: Path) -> str:
    """YAML of a LoRA fine-tuning.

    Args:
        model: the base model; by default the one that the task suggests for the language.
        file: where it will be written, for the commands in its head.

    Raises:
        InputError: no base model is known for this language.
    """
    source = model or found.source
    if source is None:
        raise InputError(
            f"No base model is suggested for texts in Chinese, Japanese or Korean with task {found.task}. Name one with --model: "
            "a hub id, a folder or python:PACKAGE/FOLDER."
        )
    rows = len(found.tables["train"])
    carved = "" if "validation" in found.splits else "; a tenth of train, by a fixed choice, is the validation split"
    folder = Path(os.path.commonpath([path.resolve().parent for path in found.splits.values()]))
    files = {split: os.path.relpath(path.resolve(), folder) for split, path in found.splits.items()}
    lengths = found.lengths()
    most = lengths[min(len(lengths) - 1, math.ceil(_SHARE * len(lengths)) - 1)]
    cut = min(_LONGEST, max(32, 16 * math.ceil((most + 3) / 16)))
    trained = rows if "validation" in found.splits else rows - max(1, rows // 10)
    lines = [
        f"# {found.task} on {found.tables['train'].source}, with LoRA. Every entry: `twinlora inspect FILE --yaml`.",
        "#",
        *(f"#   twinlora {command}" for command in commands(file)),
        "model:",
        f"  source: {_text(source)}  # hub id, folder or python:PACKAGE/FOLDER",
        f"  task: {found.task}",
        "data:",
        "  name: files",
        f"  directory: {_text(str(folder))}  # of the files; --data-dir names another one",
        f"  files: {{{', '.join(f'{split}: {_text(path)}' for split, path in files.items())}}}{'  # ' + carved[2:] if carved else ''}",
        *(f"  {entry}: {_text(column)}" for entry, column in found.recognised.entries.items()),
        *_form(found),
        f"  max_length: {cut}  # tokens; {_SHARE:.0%} of the examples have about {most} at most, longer ones are cut",
        "adaptation:",
        "  method: lora",
        "  rank: 8",
        "  alpha: 16",
        "  targets: [all-linear]  # or patterns such as [query, value]; `twinlora inspect` lists what they match",
        "  dropout: 0.05",
        "optimization:",
        "  learning_rate: 5.0e-4",
        "  warmup_ratio: 0.06",
        "  weight_decay: 0.01",
        "training:",
        f"  global_batch_size: {_BATCH}  # {_steps(trained, found)}",
        f"  epochs: {_epochs(trained, found)}",
        f"  metric: {found.recognised.metric}  # decides the best state, on the validation split",
    ]
    return "\n".join(lines) + "\n"


def commands(file: Path) -> tuple[str, ...]:
    """What to do with the file."""
    named = shlex.quote(f"{file}")
    return (
        f"inspect {named}                        (what would be trained, and for how many steps)",
        f"train {named} --backend pytorch        (or mindspore; --model FOLDER where no hub can be reached)",
    )


def _packed(found: Found) -> bool:
    """Whether texts are joined and cut, so that rows are no examples."""
    return "label_column" not in found.recognised.entries and len(found.texts) == 1


def _steps(rows: int, found: Found) -> str:
    if _packed(found):
        return "examples of an optimizer step"
    return f"{rows:,} examples / {_BATCH} = {math.ceil(rows / _BATCH):,} steps an epoch"


def _epochs(rows: int, found: Found) -> str:
    """Few examples are read more often: an adapter that starts at zero does nothing within some dozen steps."""
    steps = math.ceil(rows / _BATCH)
    if _packed(found) or 3 * steps >= _FEWEST:
        return "3"
    epochs = min(_MOST_EPOCHS, math.ceil(_FEWEST / steps))
    return f"{epochs}  # {epochs * steps:,} steps in all, since the examples are few; the best state is kept"


def _form(found: Found) -> list[str]:
    """Entries of files that are not as their extension says."""
    form, lines = found.form, []
    if form.encoding != "utf-8":
        lines.append(f"  encoding: {_text(form.encoding)}")
    if form.separator is not None:
        lines.append(f"  separator: {_text(form.separator)}")
    if form.columns:
        lines.append(f"  columns: [{', '.join(map(_text, form.columns))}]")
    return lines


def _text(value: str) -> str:
    """Plain where YAML reads it as text, quoted otherwise."""
    from common.config.yaml_text import dump

    plain = dump({"x": value}).removeprefix("x: ").rstrip("\n")
    return (
        plain
        if "\n" not in plain and plain[:1] not in "'\"" and " #" not in plain
        else json.dumps(value, ensure_ascii=False)
    )
