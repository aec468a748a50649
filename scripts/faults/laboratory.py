"""What the fault scripts share: a small experiment, what a run directory must hold at any moment, and how counts are
kept."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from common.config import ExperimentConfig, load_config  # noqa: E402
from common.files import load_arrays, write_json  # noqa: E402
from common.reading import read_json  # noqa: E402
from common.training.checkpoint import INTEGERS  # noqa: E402
from common.training.progress import Progress  # noqa: E402

__all__ = [
    "Counts",
    "Operations",
    "Quiet",
    "argument_parser",
    "differences",
    "experiment",
    "finish",
    "problems_of",
    "sentences",
    "watch",
]

_NETWORK = "{model_type: bert, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 32, max_position_embeddings: 64}"
_EXPERIMENT = """\
name: trial
model: {{tokenizer: "bpe:400", dropout: 0.1, config: {network}}}
data: {data}
adaptation: {{rank: 2, alpha: 4, dropout: 0.1, targets: ["*.query", "*.value"]}}
training: {{global_batch_size: 8, micro_batch_size: 4, max_steps: {steps}, evaluate_every_steps: {every}, log_every_steps: 1, compile: false}}
"""
_OPERATIONS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
_WORDS = ("up", "down", "left", "right", "near", "far", "good", "bad")


def argument_parser(about: str) -> argparse.ArgumentParser:
    """With the options that every script has."""
    parser = argparse.ArgumentParser(description=about, allow_abbrev=False)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of SST-2; default: generated sentences")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="counts as JSON")
    return parser


def experiment(folder: Path, data: Path | None, steps: int = 12, every: int = 4) -> ExperimentConfig:
    """A BERT of two layers with dropout, on real sentences or on generated ones; everything lies in ``folder``."""
    sizes = {"train": 64, "validation": 24, "test": 24}
    limits = f"{{{', '.join(f'{split}: {count}' for split, count in sizes.items())}}}"
    if data is not None:
        section = (
            f"{{name: sst2, directory: {json.dumps(str(data.resolve()))}, max_length: 32, max_examples: {limits}}}"
        )
    else:
        random = np.random.default_rng(0)
        for split, count in sizes.items():
            rows = (f"{' '.join(random.choice(_WORDS, 6))},{random.choice(['a', 'b'])}" for _ in range(count))
            (folder / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
        files = ", ".join(f'{split}: {json.dumps(str(folder / split))[:-1]}.csv"' for split in sizes)
        section = f"{{name: files, files: {{{files}}}, text_column: text, label_column: label, max_length: 32}}"
    text = _EXPERIMENT.format(network=_NETWORK, data=section, steps=steps, every=every)
    (folder / "trial.yaml").write_text(text, encoding="utf-8")
    return load_config(folder / "trial.yaml")


def watch(folder: Path, seen: Callable[[str, str, int], None]) -> None:
    """Call ``seen`` before every operation of this process on files below ``folder``: opened for writing, renamed,
    removed, made, brought to the disk; with the operation, the path, of a renamed file the new one, and the flags that a file is opened
    with."""
    prefix, sync = str(folder), os.fsync

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        path = arguments[0] if arguments else None
        if not isinstance(path, str | os.PathLike):
            return
        place = os.path.abspath(os.fspath(path))  # of commands that are given relative paths
        if not place.startswith(prefix):
            return
        if event in _OPERATIONS:
            target = arguments[1] if event == "os.rename" else path
            seen(event.removeprefix("os."), os.path.abspath(os.fspath(target)), 0)
        elif event == "open" and _writes(arguments):
            seen(event, place, arguments[2])

    def fsync(descriptor: int) -> None:
        seen("fsync", os.readlink(f"/proc/self/fd/{descriptor}"), 0)
        sync(descriptor)

    sys.addaudithook(hook)
    os.fsync = fsync


class Operations:
    """Counts what `watch` sees; ``actions[n]`` is called before operation n."""

    def __init__(self, actions: Mapping[int, Callable[[], object]]):
        self.actions, self.count = actions, 0

    def __call__(self, event: str, path: str, flags: int) -> None:
        self.count += 1
        if self.count in self.actions:
            self.actions[self.count]()


def sentences(draw: np.random.Generator, words: Sequence[str], count: int, longest: int = 7) -> list[str]:
    """Texts of 3 to ``longest`` words."""
    return [" ".join(draw.choice(words, draw.integers(3, longest + 1))) for _ in range(count)]


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


class Quiet(Progress):
    """Says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def start(self, total: int, done: int = 0) -> None:
        """Nothing."""

    def step(self, event: dict[str, Any]) -> None:
        """Nothing."""


def problems_of(run: Path) -> list[str]:
    """What is not whole in a run directory, whenever its process ended: every file of arrays must be complete, by its
    checksum, and every JSON file valid."""
    problems = []
    for path in sorted(run.rglob("*")):
        if any(part.startswith(".") and part.endswith(".tmp") for part in path.relative_to(run).parts):
            continue
        try:
            if path.suffix == ".safetensors":
                load_arrays(path, INTEGERS)
            elif path.suffix == ".json" and not path.name.startswith(".") and path.parent.name != "tokenizer":
                read_json(path, "a file of a run", "")
        except Exception as error:  # whatever it is, it is a finding
            problems.append(f"{path.relative_to(run)}: {error}")
    return problems


def differences(run: Path, whole: Path) -> list[str]:
    """In what a finished run differs from one that nothing happened to: adapter byte by byte, state, log, metrics,
    report."""
    found = []
    adapter = "adapter/adapter_model.safetensors"
    if (run / adapter).read_bytes() != (whole / adapter).read_bytes():
        found.append("adapter")
    left, right = (load_arrays(one / "checkpoint/state.safetensors", INTEGERS)[0] for one in (run, whole))
    if left.keys() != right.keys() or any(not np.array_equal(left[name], right[name]) for name in left):
        found.append("checkpoint")
    logs = zip_longest(_log(run), _log(whole), fillvalue={})
    other = next(((one, two) for one, two in logs if one != two), None)
    if other is not None:
        keys = [key for key in {**other[0], **other[1]} if other[0].get(key) != other[1].get(key)]
        found.append(f"log: {', '.join(f'{key} {other[0].get(key)} instead of {other[1].get(key)}' for key in keys)}")
    summaries = [json.loads((one / "summary.json").read_text(encoding="utf-8")) for one in (run, whole)]
    if any(summaries[0][key] != summaries[1][key] for key in ("status", "validation", "test", "steps", "best_step")):
        found.append("summary")
    if not (run / "report.html").is_file():
        found.append("report")
    return found


def _log(run: Path) -> list[Any]:
    events = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [{key: value for key, value in event.items() if key not in ("seconds", "duration")} for event in events]


class Counts:
    """Trials of one fault: how many there were, and what went wrong in which; they are written after each."""

    written: ClassVar[list[Counts]] = []  #: all of this process, in their order
    output: ClassVar[Path | None] = None

    def __init__(self, fault: str, where: str, promise: str):
        self.fault, self.where, self.promise = fault, where, promise
        self.written.append(self)
        self.tried, self.wrong, self.notes = 0, [], {}
        self.seconds, self._begun = 0.0, time.monotonic()

    def trial(self, name: str, problems: list[str]) -> None:
        """One trial, with what went wrong in it."""
        self.tried += 1
        self.seconds = time.monotonic() - self._begun
        if problems:
            self.wrong.append({"trial": name, "problems": problems[:5]})
            print(f"WRONG {self.fault}, {name}: {'; '.join(problems[:5])}", file=sys.stderr, flush=True)
        self.write()

    @classmethod
    def write(cls) -> None:
        """What there is so far: a long run may be ended before its end."""
        if cls.output is not None:
            write_json(cls.output, [one.row() for one in cls.written], durable=False)

    def guarded(self, name: str, trial: Callable[[], list[str]]) -> None:
        """`trial` of a function whose exceptions are findings as well."""
        try:
            self.trial(name, trial())
        except Exception as error:
            self.trial(name, [f"{type(error).__name__}: {error}"])

    def row(self) -> dict[str, Any]:
        """As JSON."""
        row = {"fault": self.fault, "where": self.where, "promise": self.promise, "tried": self.tried}
        return row | {"wrong": self.wrong, "notes": self.notes, "seconds": round(self.seconds)}


def finish() -> None:
    """Print and write the counts; the exit code is 1 where anything went wrong."""
    rows = [one.row() for one in Counts.written]
    Counts.write()
    for row in rows:
        print(f"{row['fault']} ({row['where']}): {row['tried']} tried, {len(row['wrong'])} wrong, {row['seconds']} s")
    sys.exit(int(any(row["wrong"] for row in rows)))
