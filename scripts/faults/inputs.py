#!/usr/bin/env python3
"""Give every reader files that went wrong somewhere; each must be read, or refused in a sentence.

    python scripts/faults/inputs.py --count 1000 -o runs/faults/inputs.json

A traceback, an error of another kind than `InputError`, or more than a minute is a fault; the file that led to it is
kept in ``--keep``. The same seed gives the same files.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from laboratory import Counts, argument_parser, finish
from mutations import mutated_bytes, mutated_json
from readers import Reader, readers

from common.errors import InputError

_LONGEST = 60  #: seconds after which a reader counts as hanging
_PROMISE = "read, or refused with one sentence; no traceback, no hang"


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def hang(*_: Any) -> None:
        raise TimeoutError(f"it took more than {_LONGEST} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(_LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(action: Callable[[], object]) -> tuple[bool, list[str]]:
    """Whether a reader took its file, and what is wrong with how it did not."""
    try:
        with _limited(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            action()
    except InputError as error:
        text = str(error)
        return False, [] if 0 < len(text) < 20_000 else [f"a message of {len(text)} characters"]
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
        at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else f"{place.filename}:{place.lineno}"
        return False, [f"{type(error).__name__} at {at}: {str(error)[:300]}"]
    return True, []


def trials(reader: Reader, count: int, seed: int, keep: Path | None) -> Counts:
    """``count`` mutated files for one reader; the first trials are the corpus of files that once broke something."""
    counts = Counts("mutated input", reader.name, _PROMISE)
    random = Random(f"{seed} {reader.name}")
    accepted = 0
    with tempfile.TemporaryDirectory() as scratch:
        good = Path(scratch) / "good"
        shutil.copytree(reader.folder, good, symlinks=True)
        reader.read(good)  # or every trial below would be refused for another reason
        for number in range(count):
            folder = Path(scratch) / "case"
            shutil.copytree(reader.folder, folder, symlinks=True)
            name = random.choice(reader.files)
            path = folder / name
            corpus = reader.corpus[number] if number < len(reader.corpus) else None
            if corpus is not None:
                path = folder / reader.files[0]
                content = corpus
            else:
                change = mutated_json if reader.json and path.suffix == ".json" else mutated_bytes
                content = change(random, path.read_bytes())
            path.write_bytes(content)
            taken, problems = attempt(lambda folder=folder: reader.read(folder))
            accepted += taken
            counts.trial(f"{path.name}, file {number}", problems)
            if problems and keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copytree(folder, keep / f"{reader.name}-{number}".replace(" ", "-"), dirs_exist_ok=True)
            shutil.rmtree(folder)
    counts.notes["read without an error"] = accepted
    return counts


def main() -> None:
    """The command."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="files for each reader; default: 1000")
    parser.add_argument("--only", metavar="TEXT", default="", help="readers whose name holds this")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the files that broke a reader are put")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Counts.output = arguments.output
        for reader in readers(Path(folder)):
            if arguments.only in reader.name:
                begun = time.monotonic()
                found = trials(reader, arguments.count, arguments.seed, arguments.keep)
                line = f"{reader.name}: {found.tried} files, {len(found.wrong)} faults"
                print(f"{line}, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    finish()


if __name__ == "__main__":
    main()
