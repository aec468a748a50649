"""The run directory: which file is where, and who may write into it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.artifacts import storage
from common.config import ExperimentConfig, from_yaml, to_plain
from common.errors import InputError
from common.reading import read_json, read_text

__all__ = ["COMPLETE", "FAILED", "RunDirectory", "settled"]

COMPLETE = ("finished", "stopped_early")  #: values of ``status`` of a run that came to its end
FAILED = "failed"  #: of one that diverged
_REMEDY = "Restore it from a copy, or train again with --overwrite."
_LARGEST = 2**20  #: bytes of a configuration
#: what is read of a summary by those who open a run; the report checks more
_SUMMARY = {
    "status": str,
    "backend": str,
    "data": {"labels": (None, [str]), "columns": [str]},
    "best_step?": int | None,
    "steps?": int,
}
#: what a run writes, in the order in which it is removed: what says that a run is finished or can be continued first, and last
#: what tells which run it is, so that one that was removed in part is never taken for another
_ENTRIES = (
    "summary.json",
    "checkpoint",
    "metrics.jsonl",
    "report.html",
    "adapter",
    "model",
    "tokenizer",
    "predictions",
    "trackers",
    "fingerprints.json",
    "config.yaml",
)
_SHOWN = ("report.html", "predictions", "trackers")  #: of these, what is for people
#: where things lie, and who watches; what is read has a fingerprint
_PLACES = ("data.directory", "data.files.", "training.trackers")


@dataclass(frozen=True)
class RunDirectory:
    """``runs/<name>/<backend>/``; see docs/architecture.md for what each file holds."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def fingerprints(self) -> Path:
        return self.path / "fingerprints.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint" / "state.safetensors"

    def best(self, artifact: str) -> Path:
        """The folder of the best state, stored as ``artifact`` (`common.artifacts`)."""
        return self.path / storage(artifact).FOLDER

    def predictions(self, split: str) -> Path:
        """What the best state says to each example, see `common.training.predictions`."""
        return self.path / "predictions" / f"{split}.json"

    @property
    def trackers(self) -> Path:
        """What experiment trackers keep here, see `common.trackers`."""
        return self.path / "trackers"

    def read_config(self) -> ExperimentConfig:
        """The resolved configuration of the run.

        Raises:
            InputError: this is no run directory.
        """
        if not self.config.is_file():
            inside = sorted(path.parent.name for path in self.path.glob("*/config.yaml"))
            hint = (
                f" Did you mean {self.path / inside[0]}?"
                if inside
                else " Give the directory that twinlora train printed, runs/NAME/BACKEND."
            )
            raise InputError(f"A run directory holds config.yaml; {self.path} does not.{hint}")
        return from_yaml(read_text(self.config, "the configuration of a run", _REMEDY, _LARGEST), str(self.config))

    def read_summary(self) -> dict[str, Any] | None:
        """``summary.json``, or None where there is none yet.

        Raises:
            InputError: it is no summary.
        """
        if not self.summary.is_file():
            return None
        return read_json(self.summary, "the summary of a run", _REMEDY, _SUMMARY)

    def complete(self) -> bool:
        """Whether the run came to its end."""
        return (self.read_summary() or {}).get("status") in COMPLETE

    def admit(self, config: ExperimentConfig, resume: bool, overwrite: bool) -> None:
        """Decide whether ``config`` may be trained here; changes nothing.

        Raises:
            InputError: there is a run already and neither option was given, both were, or the run to be resumed has
                another configuration.
        """
        if resume and overwrite:
            raise InputError("--resume continues the run and --overwrite discards it; give one of them.")
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"The run directory {self.path} is a file. Choose another --output or --name.")
        if overwrite or not any((self.path / entry).exists() for entry in _ENTRIES):
            return
        if not resume:
            state = "a finished run" if self.complete() else "an unfinished run (continue it with --resume)"
            raise InputError(f"{self.path} holds {state}. Choose another --name, or discard it with --overwrite.")
        if self.config.is_file():
            self._check_same(config)

    def clear(self) -> None:
        """Remove what a run writes, and nothing else."""
        for entry in _ENTRIES:
            path = self.path / entry
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def files(self) -> list[str]:
        """What a run wrote that another process needs to continue it, relative to the directory."""
        kept = [self.path / entry for entry in _ENTRIES if entry not in _SHOWN]
        found = [path for entry in kept for path in (entry, *entry.rglob("*")) if path.is_file()]
        return sorted(path.relative_to(self.path).as_posix() for path in found)

    def _check_same(self, config: ExperimentConfig) -> None:
        before, now = settled(self.read_config()), settled(config)
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed:
            listed = "\n".join(f"  {key}: was {before.get(key)!r}, now {now.get(key)!r}" for key in changed)
            raise InputError(
                f"A run is resumed with the configuration it began with; {self.config} differs:\n{listed}\nUse --name for a new run."
            )


def settled(config: ExperimentConfig) -> dict[str, Any]:
    """The settings of which a run is made, by their dotted names; where data lie is none of them."""
    flat = _flat(to_plain(config))
    return {key: value for key, value in flat.items() if not key.startswith(_PLACES)}


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{prefix}{key}.") if isinstance(item, dict) else {f"{prefix}{key}": item}
    return flat
