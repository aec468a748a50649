"""``twinlora init``: look at data, and write an experiment file for them."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

__all__ = ["add_parser", "run"]

_ENTRIES = {"text": "text_column", "pair": "text_pair_column", "label": "label_column", "prompt": "prompt_column"}


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    text = (
        "Look at a file or folder of data, say what is in it, and write a complete experiment file. "
        "Nothing is trained and no model is loaded."
    )
    parser = subparsers.add_parser(
        "init", help="write an experiment file for your data", description=text, allow_abbrev=False
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        type=Path,
        help="the training file, a folder with train, validation and test, or one with a subfolder for each class",
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: NAME.yaml here")
    parser.add_argument("--validation", metavar="FILE", type=Path, help="default: a tenth of the training split")
    parser.add_argument("--test", metavar="FILE", type=Path)
    parser.add_argument("--model", metavar="SOURCE", help="the base model; default: one for the task and language")
    parser.add_argument("--task", metavar="TASK", help="default: the one that recognises the columns")
    parser.add_argument("--text", metavar="COLUMN", help="the column of the text")
    parser.add_argument("--pair", metavar="COLUMN", help="of the second text")
    parser.add_argument("--label", metavar="COLUMN", help="of the class, number or labels")
    parser.add_argument("--prompt", metavar="COLUMN", help="of what a text continues")
    parser.add_argument("--separator", metavar="TEXT", help="of the fields; default: a comma in .csv, a tab in .tsv")
    parser.add_argument("--columns", metavar="NAME", nargs="+", help="of files without a header")
    parser.add_argument("--encoding", default="utf-8", help="of text files; default: utf-8")
    parser.add_argument("--force", action="store_true", help="replace FILE where it is there")
    return parser


def run(args: argparse.Namespace) -> None:
    """Say what was seen, write the file and check that the data can be read by it.

    Raises:
        InputError: the data cannot be read or are not recognised, or the file is there.
    """
    from common.config import load_config
    from common.data import load_dataset
    from common.data.readers import Form
    from common.data.registry import DATASETS
    from common.errors import InputError
    from common.files import write_atomic
    from common.language import translated
    from common.starter.experiment import commands, experiment_text
    from common.starter.files import find_form, find_splits
    from common.starter.look import look
    from common.tasks import TASKS
    from common.terminal import printable

    splits = find_splits(args.data)
    splits |= {split: path for split in ("validation", "test") if (path := getattr(args, split)) is not None}
    given = {entry: column for name, entry in _ENTRIES.items() if (column := getattr(args, name)) is not None}
    output = args.output or Path(f"{args.data.resolve().stem}.yaml")
    if output.resolve() in [path.resolve() for path in splits.values()]:
        raise InputError(f"{output} holds the data, which the experiment would replace; -o names another file.")
    if output.exists() and not args.force:
        raise InputError(f"{output} is there; --force replaces it, and -o names another file.")
    form = find_form(splits["train"], Form(args.encoding, args.separator, tuple(args.columns or ())))
    found = look(splits, form, given, args.task)
    print(printable("\n".join(_described(found))))
    text = experiment_text(found, args.model, output)
    with tempfile.TemporaryDirectory() as folder:
        write_atomic(Path(folder, "tried.yaml"), text)
        config = load_config(str(Path(folder, "tried.yaml")), [])
    data = load_dataset(config.data, TASKS.get(config.model.task))  # every row is checked before anything is written
    write_atomic(output, text)
    print(translated("wrote {file}", file=output))
    sizes = ", ".join(f"{split} {len(rows):,}" for split, rows in data.splits.items())
    print(translated("read {sizes}", sizes=sizes))
    for note in data.notes:
        print(printable(translated("note: {text}", text=note)))
    for remark in found.remarks():
        print(printable(translated("note: {text}", text=remark)))
    if args.data.is_dir() and args.data.name in DATASETS:
        print(f"note: {args.data.name} is also read by its name: data.name: {args.data.name}, --data-dir {args.data}.")
    print(translated("next:"))
    for command in commands(output):
        print(f"  twinlora {command}")


def _described(found) -> list[str]:
    lines = [f"{split:<11} {found.tables[split].source}: {len(found.tables[split]):,} rows" for split in found.splits]
    uses = {
        column: entry.removesuffix("_column").replace("_", " ") for entry, column in found.recognised.entries.items()
    }
    for column in found.profile.columns.values():
        use = f"  -> {uses[column.name]}" if column.name in uses else ""
        lines.append(f"  {column.name}: {column.describe()}{use}")
    return [*lines, f"task        {found.task}"]
