"""What of a trace has been computed, kept while it is being recorded, so that a recording that was stopped goes on."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import ANY, load_arrays, save_arrays, write_json
from common.parity.cases import Arrays
from common.reading import read_json

__all__ = ["FOLDER", "Parts"]

FOLDER = "parts"  #: in the folder of a trace that is not finished
_INTERVAL = 30.0  #: seconds of work that a kill may cost
_SEPARATOR = "::"
_REMEDY = "Remove the folder; its cases are computed again."


class Parts:
    """Results in the folder of a trace.

    Args:
        directory: of the trace.
        identity: of what computes them: suite, producer, code. Parts of another one are removed.
        whole: whether results are kept with the entries.
    """

    def __init__(self, directory: Path, identity: Mapping[str, Any], whole: bool = True):
        self.folder = directory / FOLDER
        self.identity = json.loads(json.dumps(identity))
        self.whole = whole
        self._entries: list[dict[str, Any]] = []
        self._arrays: Arrays = {}
        self._next = time.monotonic() + _INTERVAL

    def read(self) -> dict[str, tuple[dict[str, Any], Arrays]]:
        """Case id to its entry in the manifest and its results, without errors, which are tried again. A part that is
        not whole counts for nothing."""
        found: dict[str, tuple[dict[str, Any], Arrays]] = {}
        for file in sorted(self.folder.glob("*.json")):
            try:
                part = read_json(file, "a part of a trace", _REMEDY, {"identity": dict, "cases": list})
                arrays = (
                    load_arrays(file.with_suffix(".safetensors"), ANY)[0] if part["identity"] == self.identity else {}
                )
            except InputError:
                continue
            if part["identity"] != self.identity:
                self.remove()
                return {}
            for entry in part["cases"]:
                names = [tensor["name"] for tensor in entry["tensors"]] if self.whole else []
                if entry["status"] != "error":
                    found[entry["id"]] = entry, {name: arrays[entry["id"] + _SEPARATOR + name] for name in names}
        return found

    def add(self, entry: dict[str, Any], arrays: Arrays) -> None:
        """Keep one case; on the disk with the next part."""
        self._entries.append(entry)
        if self.whole:
            self._arrays |= {entry["id"] + _SEPARATOR + name: array for name, array in arrays.items()}
        if time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Write what is not on the disk yet, the list of cases last."""
        if self._entries:
            self.folder.mkdir(parents=True, exist_ok=True)
            number = 1 + max((int(file.stem) for file in self.folder.glob("*.json")), default=0)
            save_arrays(self.folder / f"{number:06d}.safetensors", self._arrays)
            write_json(self.folder / f"{number:06d}.json", {"identity": self.identity, "cases": self._entries})
            self._entries, self._arrays = [], {}
        self._next = time.monotonic() + _INTERVAL

    def remove(self) -> None:
        """The trace is whole, or the parts are of another one."""
        shutil.rmtree(self.folder, ignore_errors=True)
