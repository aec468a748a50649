"""Brings the uses of torch in a program together with what is known of them, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.api_mapping.scan.calls import Use, uses
from common.api_mapping.scan.inplace import refused
from common.api_mapping.scan.knowledge import VERIFIED, Entry, Knowledge, canonical
from common.api_mapping.scan.snippet import KEYWORDS, left_out, rewrite, spelled, untried
from common.api_mapping.scan.sources import find, read
from common.api_mapping.scan.structure import LAYER_METHODS, advice
from common.errors import InputError

__all__ = ["CATEGORIES", "Finding", "Report", "scan", "tally"]

CATEGORIES = {
    "covered": "a MindSpore call with torch's arguments was verified",
    "needs adapting": "verified through an adapter, or arguments have to change",
    "structure": "computes nothing; there is advice, and nothing to verify",
    "unknown": "no row, or one that was not verified here",
    "unsupported": "known, and not right on this device",
}


@dataclass(frozen=True)
class Finding:
    """One use of torch."""

    file: str
    cell: int | None  #: of a notebook, counted from 1 over all its cells
    line: int
    column: int
    end_line: int
    end_column: int
    name: str  #: dotted torch name
    kind: str  #: call, method, base, reference, name or definition
    by_name_only: bool
    guessed: bool
    category: str
    row: str  #: name of the row; empty without one
    target: str  #: MindSpore's call on this machine; empty where there is none
    verdict: str
    change: str  #: what is different from the torch call
    snippet: str
    imports: tuple[str, ...]

    @property
    def counted(self) -> bool:
        """Types, dtypes and constants are no calls and are counted apart."""
        return self.kind != "name"

    @property
    def shown(self) -> str:
        """The name as people write it: ``F.softmax``, ``nn.Linear``, ``.view``."""
        if self.kind == "method":
            return f".{self.name.rpartition('.')[2]}"
        for section, short in (("torch.nn.functional.", "F."), ("torch.nn.", "nn.")):
            if self.name.startswith(section):
                return short + self.name.removeprefix(section)
        return self.name

    @property
    def place(self) -> str:
        """``12:9``, in a notebook ``cell 3 12:9``."""
        return f"{f'cell {self.cell} ' if self.cell else ''}{self.line}:{self.column}"


@dataclass
class Report:
    """Everything that a scan found."""

    device: str
    version: str | None
    date: str = ""  #: of the verification whose verdicts are told
    files: list[str] = field(default_factory=list)  #: that were read
    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  #: what could not be read
    notes: list[str] = field(default_factory=list)

    def by_file(self) -> dict[str, list[Finding]]:
        """The findings of every file that was read."""
        found: dict[str, list[Finding]] = {file: [] for file in self.files}
        for finding in self.findings:
            found[finding.file].append(finding)
        return found

    def counts(self) -> dict[str, int]:
        """Findings by category, without types and dtypes."""
        return tally(self.findings)

    @property
    def names(self) -> int:
        """Types, dtypes and constants."""
        return sum(not found.counted for found in self.findings)

    @property
    def exit_code(self) -> int:
        """0 if every call has a verified row or advice and every file was read, else 1."""
        return int(
            bool(self.problems)
            or any(found.counted and found.category in ("unknown", "unsupported") for found in self.findings)
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "schema": 1,
            "device": self.device,
            "mindspore": self.version,
            "verified": self.date,
            "exit_code": self.exit_code,
            "summary": {**self.counts(), "types and dtypes": self.names},
            "files": {file: tally(found) for file, found in self.by_file().items()},
            "problems": self.problems,
            "notes": self.notes,
            "findings": [{**asdict(found), "imports": list(found.imports)} for found in self.findings],
        }


def tally(findings: Iterable[Finding]) -> dict[str, int]:
    """Findings by category, without types and dtypes."""
    counted = Counter(found.category for found in findings if found.counted)
    return {category: counted[category] for category in CATEGORIES}


def scan(paths: Iterable[str | Path], device: str | None = None, results: Path | None = None) -> Report:
    """Scan files, notebooks and folders without executing anything.

    Args:
        device: ``cpu``, ``gpu`` or ``ascend``; by default what is present.
        results: a verification as `twinlora map verify --json` writes it; by default the published one.

    Raises:
        InputError: there is nothing to scan.
    """
    files, problems = find(paths)
    if not files:
        raise InputError(
            f"A Python file, a notebook or a folder that holds some was expected. {' '.join(problems) or 'No path was given.'}"
        )
    knowledge = Knowledge.here(device, results)
    report = Report(knowledge.device, knowledge.version, knowledge.date, problems=problems, notes=knowledge.notes)
    for path in files:
        source = read(path)
        report.files.append(source.path)
        report.problems += source.problems
        report.notes += source.notes
        try:
            report.findings += [_finding(source.path, use, knowledge) for use in uses(source)]
        except RecursionError:
            report.problems.append(f"{source.path} was read, but it is nested too deeply to be looked through.")
    return report


def _finding(file: str, use: Use, knowledge: Knowledge) -> Finding:
    def known(name: str) -> Entry:
        return knowledge.of(canonical(name, knowledge.rows)[0])

    name, rest = canonical(use.name, knowledge.rows)
    entry = knowledge.of(name)
    if (
        rest and name.rpartition(".")[2][:1].isupper()
    ):  # nn.Linear.forward(self, x): what is called is a method of the class
        method = LAYER_METHODS.get(rest)
        text = (
            method[0].target.rpartition(".")[2]
            if method
            else {"forward": "construct", "__init__": "__init__"}.get(rest, "")
        )
        change = (
            f"of the class that stands in for {name}: {text}"
            if text
            else "its counterpart has no such method"
            if method
            else "a method of a torch class"
        )
        category = "structure" if text or method else "unknown"
        return _make(
            file,
            use,
            f"{name}.{rest}",
            category,
            entry if category == "structure" else Entry(verdict="no row"),
            change,
            "",
            (),
        )
    if use.kind in ("name", "base", "reference") and (
        advised := advice(name)
    ):  # torch.Tensor as a type, though its constructor has a row
        entry = Entry(advice=advised, verdict="advice")
    if entry.advice:
        change = entry.advice.text
        return _make(file, use, name, "structure", entry, change, "", ())
    if entry.row is None:
        return _make(file, use, name, "unknown", entry, "", "", ())
    if entry.verdict not in VERIFIED:
        category = "unsupported" if entry.verdict in ("unsupported here", "failed") else "unknown"
        return _make(file, use, name, category, entry, entry.reason, "", ())
    row, adapted = entry.row, entry.verdict == "adapted"
    if row.in_place and (instead := refused(use.node)):
        return _make(file, use, name, "unsupported", entry, instead, "", ())
    gone = left_out(use, row)
    told = [f"verified as {entry.through}"] if entry.through else []
    told += [row.adaptation] if adapted and row.adaptation else []
    told += [row.note] if row.note else []
    told += [KEYWORDS[item] for item in gone]
    told += [f"no verified call has {', '.join(f'{item}=' for item in untried(use, row))}"] if untried(use, row) else []
    told += [f"refused with {part}: {why}" for part, why in row.limits.items()]
    if entry.target and not spelled(entry)[0]:
        told.append("its adapter is missing")
    text, imports = rewrite(use, entry, known)
    return _make(
        file, use, name, "needs adapting" if adapted or gone else "covered", entry, "; ".join(told), text, imports
    )


def _make(
    file: str, use: Use, name: str, category: str, entry: Entry, change: str, snippet: str, imports: tuple[str, ...]
) -> Finding:
    target = entry.advice.target if entry.advice else entry.target
    row = entry.row.name if entry.row else ""
    place = (*use.start, *use.end)
    return Finding(
        file,
        use.unit.cell,
        *place,
        name,
        use.kind,
        use.by_name,
        use.guessed,
        category,
        row,
        target,
        entry.verdict,
        change,
        snippet,
        imports,
    )
