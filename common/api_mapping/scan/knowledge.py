"""What is known of a torch name on this machine: its row, the target chosen here, the verdict of the last verification,
or advice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from common.api_mapping import lock
from common.api_mapping.report import DOCUMENT, NOT_VERIFIED
from common.api_mapping.row import Row
from common.api_mapping.rows import registry
from common.api_mapping.scan.structure import Advice, advice
from common.errors import InputError
from common.reading import read_json

__all__ = ["VERIFIED", "Entry", "Knowledge", "canonical"]

VERIFIED = ("exact", "rounding", "stochastic", "adapted")
#: Second names of the same function. Rows carry the first.
_SAME = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
}
_SAME |= {
    "arctanh": "atanh",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "true_divide": "div",
    "multiply": "mul",
}
_SAME |= {
    "negative": "neg",
    "subtract": "sub",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
}
_SAME |= {
    "less_equal": "le",
    "not_equal": "ne",
    "fix": "trunc",
    "moveaxis": "movedim",
    "det": "linalg.det",
    "inverse": "linalg.inv",
}
_IN_TORCH_TOO = (
    "tanh",
    "sigmoid",
    "relu_",
    "celu_",
    "selu_",
    "rrelu_",
    "pairwise_distance",
    "cosine_similarity",
    "pdist",
)  # F.tanh is torch.tanh
#: Methods that are not the torch function of that name with the tensor in front: other order, or sizes and axes one by one, x.permute(0, 2, 1).
_METHOD_DIFFERS = ("where", "permute", "reshape", "flip", "tile", "broadcast_to")


@dataclass(frozen=True)
class Entry:
    """What stands in for a torch name."""

    row: Row | None = None
    target: str = ""  #: the call to write here
    verdict: str = NOT_VERIFIED
    error: float | None = None  #: largest error that the verification measured
    reason: str = ""  #: why there is no target, or what failed
    advice: Advice | None = None
    through: str = ""  #: torch function that the row was verified as, where a method has no row of its own


@dataclass
class Knowledge:
    """Rows, lock entries and verdicts."""

    device: str
    version: str | None  #: of MindSpore; None where it is not installed
    rows: Mapping[str, Row]
    locked: Mapping[str, Any]
    results: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    date: str = ""  #: of the verification
    _known: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def here(cls, device: str | None = None, results: Path | None = None) -> Knowledge:
        """Of this machine: the accelerator whose driver is present, or the CPU, and the installed MindSpore. No
        framework is imported."""
        device = device or _device()
        version = _version()
        notes = []
        entries = lock.entries(lock.user_file(), lock.SHIPPED)
        key = (
            lock.key(device, version)
            if version
            else next((name for name in entries if name.startswith(lock.key(device, ""))), "")
        )
        locked = entries.get(key, {})
        if version is None:
            notes.append(
                "MindSpore is not installed here." + (f" Targets are those chosen for {key}." if locked else "")
            )
        if not locked:
            notes.append(
                f"No targets were chosen for {lock.key(device, version or '').strip()}: run `twinlora map probe` on the machine that will be used."
            )
        path = results or DOCUMENT
        content = _read(path, notes)
        ran = str(content.get("device", device)).partition(":")[0]
        if content and ran != device:
            notes.append(
                f"The verification in {path.name} ran on {ran}, which says nothing about {device}: run `twinlora map verify` there."
            )
            content = {}
        versions = content.get("versions")
        used = versions if isinstance(versions, Mapping) else {}
        if version and used.get("mindspore", version) != version:
            notes.append(
                f"The verification in {path.name} was made with MindSpore {used['mindspore']}; {version} is installed."
            )
            content = {}
        return cls(device, version, registry(), locked, _rows(content), notes, str(content.get("date", "")))

    def of(self, name: str) -> Entry:
        """What is known of a dotted torch name."""
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    def _look_up(self, name: str) -> Entry:
        told = advice(name)
        row, through = self._row(name)
        if row is None:
            return Entry(advice=told, verdict="advice" if told else "no row")
        measured, locked = self.results.get(row.name, {}), self.locked.get(row.name, {})
        verdict = measured.get("verdict") if isinstance(measured.get("verdict"), str) else NOT_VERIFIED
        if "digest" in measured and measured["digest"] != row.digest():
            verdict = NOT_VERIFIED  # the row has changed since
        if verdict not in VERIFIED and told:
            return Entry(advice=told, verdict="advice")
        own = next((target for target in row.targets if target in locked.get("passed", ())), None)
        target = locked.get("target") or measured.get("target") or ""
        if verdict != "adapted" and own:
            target = own  # MindSpore's own call was right in every case, whichever the shim prefers
        reason = "" if verdict in VERIFIED else _reason(verdict, measured, locked)
        error = measured.get("error")
        return Entry(
            row,
            target if target != "none" else "",
            verdict,
            error if isinstance(error, int | float) else None,
            reason,
            None,
            through,
        )

    def _row(self, name: str) -> tuple[Row | None, str]:
        """The row of a name, of the name that it is a second name of, or for a method that of the torch function it
        is."""
        if name in self.rows:
            return self.rows[name], ""
        section, _, leaf = name.rpartition(".")
        first = f"{section}.{_SAME[leaf]}" if leaf in _SAME else ""
        if first in self.rows:
            return self.rows[first], first
        if section == "torch.nn.functional" and leaf in _IN_TORCH_TOO and f"torch.{leaf}" in self.rows:
            return self.rows[f"torch.{leaf}"], f"torch.{leaf}"
        if section == "torch.Tensor" and leaf not in _METHOD_DIFFERS and not leaf.endswith("_"):
            for function in (f"torch.{leaf}", f"torch.{_SAME.get(leaf, leaf)}"):
                if function in self.rows:
                    return self.rows[function], function
        return None, ""


def canonical(name: str, known: Mapping[str, Row]) -> tuple[str, str]:
    """The public name, and what is left of an attribute of it: ``torch.nn.modules.linear.Linear.forward`` is
    ``torch.nn.Linear`` and ``forward``."""
    public = re.sub(r"^torch\.nn\.modules\.(?:\w+\.)?([A-Z])", r"torch.nn.\1", name)
    public = re.sub(r"^torch\.nn\.(?:parameter|parallel\.distributed)\.(Parameter|Buffer)\b", r"torch.nn.\1", public)
    public = (
        re.sub(r"^torch\.optim\.[a-z_]+\.([A-Z]\w*)", r"torch.optim.\1", public)
        if ".lr_scheduler" not in public
        else public
    )
    public = re.sub(r"^torch\.(?:functional|_tensor)\.", "torch.", public)
    rest: list[str] = []
    head = public
    while head.count(".") > 1 and head not in known and advice(head) is None:
        parent, _, leaf = head.rpartition(".")
        if parent == "torch.Tensor":
            break
        rest.insert(0, leaf)
        head = parent
        if head in known or (advice(head) is not None and head not in ("torch.nn", "torch.nn.functional")):
            return head, ".".join(rest)
    return (head, "") if not rest else (public, "")


def _device() -> str:
    return "ascend" if list(Path("/dev").glob("davinci[0-9]*")) else "cpu"


def _version() -> str | None:
    try:
        return metadata.version("mindspore")
    except metadata.PackageNotFoundError:
        return None


def _read(path: Path, notes: list[str]) -> Mapping[str, Any]:
    """What `twinlora map verify --json` wrote, or nothing and a note."""
    if not path.exists():
        notes.append("No verification was found, so nothing counts as verified: run `twinlora map verify --json FILE`.")
        return {}
    try:
        content = read_json(path, "a verification", "Nothing counts as verified.")
    except InputError as error:
        notes.append(f"{error}")
        return {}
    if isinstance(content, Mapping) and isinstance(content.get("rows"), Mapping | list):
        return content
    notes.append(f"{path} is not a verification; write one with: twinlora map verify --json {path.name}")
    return {}


def _rows(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Results by torch's name, whether they were written as an object or as a list."""
    rows = content.get("rows", {})
    pairs = (
        rows.items()
        if isinstance(rows, Mapping)
        else ((row.get("name"), row) for row in rows if isinstance(row, Mapping))
    )
    return {name: row for name, row in pairs if isinstance(name, str) and isinstance(row, Mapping)}


def _reason(verdict: str, measured: Mapping[str, Any], locked: Mapping[str, Any]) -> str:
    if verdict == NOT_VERIFIED:
        return "the row was not verified here"
    failures = measured.get("failures")
    if isinstance(failures, list) and failures and isinstance(failures[0], Mapping):
        return f"{failures[0].get('case', '')}: {failures[0].get('message', '')}"
    rejected = locked.get("rejected")
    return next((f"{target}: {why}" for target, why in rejected.items()), "") if isinstance(rejected, Mapping) else ""
