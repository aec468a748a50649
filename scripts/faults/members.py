#!/usr/bin/env python3
"""Kill commands of every kind with SIGKILL, give them again, and compare with what nothing happened to.

    python scripts/faults/members.py --backend pytorch --moments 8 -o runs/faults/members-pytorch.json

`members.yaml` says which: training methods with a state of their own, chains of several runs, and commands that write
something else than a run. The moments are chosen from what an unbroken run does: every kind of operation once (each file
opened, brought to the disk, renamed; a training step; a batch of an evaluation), then others at random. Every second
file that is written in place is left cut off, as a buffer that was not written leaves it; a third of the trials are
killed a second time after being continued.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import comparing
import numpy as np
import yaml
from laboratory import Counts, argument_parser, finish, problems_of, sentences, watch

MEMBERS = Path(__file__).with_name("members.yaml")
_LONGEST = 900.0  #: seconds after which a command counts as hanging
_PROMISE = (
    "every file whole after the kill, and nothing that says it is finished unless it is; the same command again ends in "
    "the files of one that nothing happened to: arrays to the bit, states, logs and scores"
)
_TRAIN = "train trial.yaml --backend BACKEND --device cpu --output runs --resume"
_RANDOM = re.compile(r"(\.twinlora-)?[0-9a-f]{16}(\.tmp|\.cache)?|\d{6,}")


@dataclass(frozen=True)
class Member:
    """One entry of the file of members."""

    name: str
    experiment: Mapping[str, Any]
    command: str
    whole: Sequence[str]
    study: Mapping[str, Any] | None = None
    before: Sequence[str] = ()
    again: str | None = None
    refused: str | None = None  #: what is given where `again` is refused, which is an answer as well
    outputs: Sequence[str] = ("runs",)


def members(backend: str) -> list[Member]:
    """Every entry."""
    text = MEMBERS.read_text(encoding="utf-8").replace("BACKEND", backend)
    found, listed = yaml.safe_load(text), []
    for name, entry in found["members"].items():
        sections = {"name": "trial", **found["kinds"][entry.pop("kind", "classes")]}
        for section, values in entry.pop("experiment", {}).items():
            sections[section] = _over(sections.get(section), values)
        entry.setdefault("command", _TRAIN.replace("BACKEND", backend))
        entry.setdefault("whole", [f"runs/trial/{backend}/summary.json"])
        listed.append(Member(name, sections, **entry))
    return listed


def _over(before: Any, values: Any) -> Any:
    """A section with other values; of another method or model nothing is left, and null removes an entry."""
    if not isinstance(values, Mapping) or not isinstance(before, Mapping):
        return values
    kept = {} if "method" in values else before
    if "source" in values:
        kept = {name: value for name, value in before.items() if name not in ("config", "tokenizer")}
    return {name: value for name, value in {**kept, **values}.items() if value is not None}


class Laboratory:
    """A folder in which command lines run, each in a fork of this process, which has imported everything and computed
    nothing. It is always the same one, since experiments name files."""

    def __init__(self, backend: str, root: Path):
        import matplotlib.figure  # noqa: F401

        import common.cli.main  # noqa: F401
        from common import backend as backends
        from common.training import run, self_training  # noqa: F401

        self.backend, self.root, self.work = backend, root, root / "work"
        self.package = backends.load(backend)
        self.context = multiprocessing.get_context("fork")

    def __call__(self, line: str, kill: Kill | None = None) -> tuple[int, list[str]]:
        """Exit code (-9: killed) and the kinds of what a command that came to its end did."""
        ours, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(target=self._inside, args=(line, kill, theirs))
        process.start()
        theirs.close()
        try:
            if not ours.poll(_LONGEST):
                raise TimeoutError(f"twinlora {line} has not ended")
            code, kinds = ours.recv()
        except EOFError:
            process.join()
            return process.exitcode or 1, []
        finally:
            process.kill()
            process.join()
        return code, kinds

    def _inside(self, line: str, kill: Kill | None, result: Any) -> None:
        from common.cli.main import main

        os.chdir(self.work)
        os.environ["TWINLORA_CACHE"] = str(self.work / "cache")
        said = os.open(self.root / "said.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        seen = _Seen(kill)
        watch(self.work, seen)
        for name in ("train_step", "eval_step"):
            _counted(self.package.Engine, name, seen)
        try:
            code: Any = main(shlex.split(line))
        except SystemExit as error:
            code = error.code
        except BaseException as error:  # a traceback is a finding
            print(f"{type(error).__name__}: {error}", flush=True)
            code = 70
        sys.stdout.flush()
        sys.stderr.flush()
        result.send((code or 0, seen.kinds))
        result.close()
        os._exit(0)

    def said(self) -> str:
        """The end of what the last command said."""
        return (self.root / "said.log").read_text(encoding="utf-8", errors="replace").strip()[-400:]

    def take(self, template: Path) -> None:
        """Make the folder anew, with what ``template`` holds."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(template, self.work, symlinks=True)


@dataclass(frozen=True)
class Kill:
    """Before which operation a command ends; ``torn``: a file that is opened for writing in place is left with half of
    what stood in ``like``, where it comes from, or with nothing."""

    at: int
    torn: bool = False
    like: Path | None = None


class _Seen:
    """What a command did, in words without the random parts of names; it ends at its kill."""

    def __init__(self, kill: Kill | None):
        self.kill, self.kinds = kill, []

    def __call__(self, event: str, path: str | None = None, flags: int = 0) -> None:
        name = "" if path is None else "/".join(Path(_RANDOM.sub("*", path)).parts[-2:])
        self.kinds.append(f"{event} {name}".strip())
        if self.kill is not None and len(self.kinds) == self.kill.at:
            if self.kill.torn and path is not None and event == "open" and not _RANDOM.search(path):
                self._tear(Path(path), flags)
            os.kill(os.getpid(), signal.SIGKILL)

    def _tear(self, path: Path, flags: int) -> None:
        whole = self.kill.like / path.relative_to(Path.cwd()) if self.kill and self.kill.like else None
        content = whole.read_bytes() if whole is not None and whole.is_file() else b""
        if flags & os.O_TRUNC:
            path.write_bytes(content[: len(content) // 2])


def _counted(engine: type, name: str, seen: Callable[[str], None]) -> None:
    method = getattr(engine, name)

    def counted(self: Any, *arguments: Any, **named: Any) -> Any:
        seen(name)
        return method(self, *arguments, **named)

    setattr(engine, name, counted)


def moments(kinds: Sequence[str], count: int, draw: random.Random) -> list[int]:
    """Numbers of operations, from 1: of each kind one at random, the folders of the files in turn; then any."""
    places: dict[str, list[int]] = {}
    for number, kind in enumerate(kinds, 1):
        places.setdefault(kind, []).append(number)
    folders: dict[str, list[int]] = {}
    for kind, numbers in places.items():
        folders.setdefault(kind.partition(" ")[2].rpartition("/")[0], []).append(draw.choice(numbers))
    # steps and evaluations, and the checkpoint, begin; of the others each run of this script takes some
    names = sorted(folders, key=lambda name: (name not in ("", "checkpoint"), draw.random()))
    for listed in folders.values():
        draw.shuffle(listed)
    turns = zip_longest(*(folders[name] for name in names))
    listed = [number for turn in turns for number in turn if number is not None][:count]
    return listed + [draw.randint(1, len(kinds)) for _ in range(count - len(listed))]


def write_files(folder: Path) -> None:
    """What the experiments read."""
    draw = np.random.default_rng(0)
    words = ("up", "down", "left", "right", "near", "far", "good", "bad", "turn", "around")
    for split, count in (("train", 48), ("validation", 16), ("test", 12)):
        texts = sentences(draw, words, count)
        rows = [f"{text},{text.split()[0]},{'a' if len(text) % 2 else 'b'}" for text in texts]
        (folder / f"{split}.csv").write_text("text,prompt,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
        lines = ["\n".join(f"{text}." for text in sentences(draw, words, 4)) for _ in range(count // 2)]
        (folder / f"{split}.txt").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
        tagged = [
            "\n".join(f"{word}\t{'B-x' if word in words[:3] else 'O'}" for word in text.split()) for text in texts
        ]
        (folder / f"{split}.conll").write_text("\n\n".join(tagged) + "\n", encoding="utf-8")
    unlabelled = sentences(draw, words, 40)
    (folder / "unlabelled.txt").write_text("\n".join(unlabelled) + "\n", encoding="utf-8")
    talks = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": text.split()[-1]}]}
        for text in sentences(draw, words, 24)
    ]
    (folder / "talks.jsonl").write_text("".join(f"{json.dumps(talk)}\n" for talk in talks), encoding="utf-8")


def prepared(laboratory: Laboratory, template: Path) -> None:
    """Make the folder that every member begins with."""
    template.mkdir()
    write_files(template)
    base = yaml.safe_load(MEMBERS.read_text(encoding="utf-8"))["kinds"]["classes"]
    base = {**base, "name": "base", "adaptation": {"method": "full"}}
    (template / "base.yaml").write_text(json.dumps(base), encoding="utf-8")
    laboratory.take(template)
    line = f"train base.yaml --backend {laboratory.backend} --device cpu --output before"
    if laboratory(line)[0]:
        sys.exit(f"twinlora {line}: {laboratory.said()}")
    shutil.copytree(laboratory.work / f"before/base/{laboratory.backend}/model", laboratory.work / "base-model")
    shutil.rmtree(template)
    shutil.copytree(laboratory.work, template, symlinks=True)


class Campaign:
    """The trials of one member."""

    def __init__(self, laboratory: Laboratory, member: Member, template: Path, draw: random.Random, counts: Counts):
        self.laboratory, self.member, self.draw, self.counts = laboratory, member, draw, counts
        self.begin, self.unbroken = laboratory.root / "begin", laboratory.root / "unbroken"
        self.found = {"kills": 0, "exact": 0, "differing": 0, "lost": 0}
        for folder in (self.begin, self.unbroken):
            shutil.rmtree(folder, ignore_errors=True)
        laboratory.take(template)
        (laboratory.work / "trial.yaml").write_text(json.dumps(member.experiment), encoding="utf-8")
        if member.study is not None:
            study = {"base": "trial.yaml", **member.study}
            (laboratory.work / "study.yaml").write_text(json.dumps(study), encoding="utf-8")
        for line in member.before:
            self._need(line)
        shutil.copytree(laboratory.work, self.begin, symlinks=True)
        begun = time.monotonic()
        self.kinds = self._need(member.command)
        counts.notes["seconds of an unbroken command"] = round(time.monotonic() - begun, 1)
        shutil.copytree(laboratory.work, self.unbroken, symlinks=True)

    def _need(self, line: str) -> list[str]:
        code, kinds = self.laboratory(line)
        if code:
            raise RuntimeError(f"twinlora {line} ended with {code}: {self.laboratory.said()}")
        return kinds

    def run(self, count: int) -> None:
        """``count`` trials."""
        for number, at in enumerate(moments(self.kinds, count, self.draw), 1):
            kill = Kill(at, torn=bool(number % 2), like=self.unbroken)
            self.counts.guarded(f"before {at}, {self.kinds[at - 1]}", lambda kill=kill: self._trial(kill))
            self.counts.notes.update(self.found)
        self.counts.write()

    def _trial(self, kill: Kill) -> list[str]:
        member, laboratory = self.member, self.laboratory
        laboratory.take(self.begin)
        code, _ = laboratory(member.command, kill)
        if code != -9:
            return [f"it was to be killed and ended with {code}: {laboratory.said()}"]
        self.found["kills"] += 1
        problems = self._state()
        again = member.again or member.command
        if self.draw.random() < 1 / 3:
            code, _ = laboratory(again, Kill(self.draw.randint(1, len(self.kinds)), like=self.unbroken))
            if code == -9:
                self.found["kills"] += 1
                problems += self._state()
        code, _ = laboratory(again)
        if code == 2 and member.refused:
            code, _ = laboratory(member.refused)
        differences = self._differences()
        if code == 2 and not differences and "there already" in laboratory.said():  # it was killed after its last word
            code = 0
        if code:
            self.found["lost"] += 1
            return [*problems, f"given again it ended with {code}: {laboratory.said()}"]
        self.found["differing" if differences else "exact"] += 1
        return problems + differences

    def _state(self) -> list[str]:
        """What is not whole, and what says that it is finished and is not."""
        work, problems = self.laboratory.work, []
        for output in self.member.outputs:
            if (work / output).is_dir():
                problems += [f"not whole: {problem}" for problem in problems_of(work / output)]
        for file in self.member.whole:
            if (work / file).exists() and not (self.begin / file).exists():
                problems += [f"{file} is there: {problem}" for problem in self._differences()]
        return problems

    def _differences(self) -> list[str]:
        pairs = ((self.laboratory.work / output, self.unbroken / output) for output in self.member.outputs)
        return [found for pair in pairs for found in comparing.differences(*pair)]


def main() -> None:
    """The command."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--backend", required=True, choices=("pytorch", "mindspore"))
    parser.add_argument("--moments", type=int, default=8, metavar="N", help="trials of each member; default: 8")
    parser.add_argument("--only", metavar="TEXT", default="", help="members whose name holds one of these, with |")
    arguments = parser.parse_args()
    Counts.output = arguments.output
    where = {"pytorch": "PyTorch", "mindspore": "MindSpore"}[arguments.backend]
    chosen = [member for member in members(arguments.backend) if re.search(arguments.only, member.name)]
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as root:
        laboratory = Laboratory(arguments.backend, Path(root))
        template = Path(root) / "template"
        prepared(laboratory, template)
        for member in chosen:
            counts = Counts("kill -9 at chosen moments", f"{where}, {member.name}", _PROMISE)
            draw = random.Random(f"{arguments.seed} {member.name}")
            try:
                Campaign(laboratory, member, template, draw, counts).run(arguments.moments)
            except RuntimeError as error:  # no trial, and no row for it
                Counts.written.remove(counts)
                failed.append(f"{member.name}: {error}")
                continue
            row = counts.row()
            print(
                f"{member.name}: {row['notes']}, {row['seconds']} s, {len(row['wrong'])} wrong",
                file=sys.stderr,
                flush=True,
            )
    if failed:
        Counts.write()
        sys.exit("Members that an unbroken command ended in an error of:\n" + "\n".join(failed))
    finish()


if __name__ == "__main__":
    main()
