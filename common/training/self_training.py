"""Self-training: a run labels texts that have no labels, the next one is trained on those of which it is sure, and so
on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common.config import ExperimentConfig, from_yaml, to_plain
from common.config.yaml_text import dump
from common.data import TextData, load_dataset
from common.data.own import TEXTS, named_rows, read_unlabelled, require_classes, write_own
from common.errors import InputError
from common.files import write_json
from common.reading import read_json
from common.tasks import configured
from common.training import fingerprints
from common.training.assembly import Inputs, load_engine, open_trained, prepare
from common.training.prediction import outputs_of
from common.training.progress import Progress
from common.training.run import train
from common.training.rundir import RunDirectory
from common.training.teachers import SUFFIX, Teacher, write_logits
from common.training.teaching import refuse_misfit

__all__ = ["RECORD", "SelfTraining", "entropies", "self_train"]

RECORD = "self_training.json"
_CERTAIN = 30.0  #: by which the logit of a given class exceeds the others: e^-30 is nothing beside 1
Row = dict[str, Any]


@dataclass(frozen=True)
class SelfTraining:
    """How pseudo labels are made."""

    rounds: int = 1  #: after the training on the given labels
    entropy: float = 0.3  #: bits; a text whose classes are more uncertain is left out
    labels: Literal["hard", "soft"] = "hard"  #: the most probable class, or the probabilities of all

    def problems(self) -> Iterator[tuple[str, str]]:
        """(entry, what is wrong with it)."""
        if self.rounds < 1:
            yield "rounds", f"must be at least 1; received {self.rounds}"
        if not self.entropy >= 0:
            yield "entropy", f"must be a non-negative number of bits; received {self.entropy!r}"


def entropies(logits: np.ndarray) -> np.ndarray:
    """Of softmax(logits) of every row, in bits: ``(rows, classes)`` to ``(rows,)`` float64.

    Example:
        >>> entropies(np.zeros((1, 4))).tolist()
        [2.0]
    """
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return np.maximum(0.0, -(np.exp(logs) * logs).sum(1) / np.log(2))


def self_train(
    config: ExperimentConfig,
    backend: str,
    unlabelled: str | Path,
    how: SelfTraining,
    device: str | None = None,
    output: Path = Path("runs"),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on the given labels, then ``rounds`` times on these and the pseudo labels of the round before, each time
    from the model that ``config`` names. Continues where it was interrupted.

    ``output/NAME`` holds ``round-0``, ``round-1``, ... with ``data``, and a run of ``backend`` each, and
    ``self_training.json``.

    Raises:
        InputError: something does not fit, or no text is certain enough.
        RunError: a training diverged or was interrupted.
    """
    faults = [f"{name} {text}" for name, text in how.problems()]
    if faults:
        raise InputError("Self-training must fit:\n  " + "\n  ".join(faults))
    if config.distillation.teacher is not None:
        raise InputError("Self-training has teachers of its own; set distillation.teacher to null.")
    inputs = prepare(config)
    data = inputs.data
    names = require_classes(data, "Self-training")
    if how.labels == "soft":
        _refuse_untaught(inputs)
    gold = named_rows(data.splits["train"], names)
    known = {tuple(row[part] for part in TEXTS if part in row) for row in gold}
    rows = read_unlabelled(unlabelled, config.data, [part for part in TEXTS if part in gold[0]])
    rows = [row for row in rows if tuple(row.values()) not in known]
    if not rows:
        raise InputError(f"Every text of {unlabelled} is one of the training split, whose labels are known.")
    folder = Path(output) / config.name
    record: dict[str, Any] = {"settings": dataclasses.asdict(how), "given": len(gold), "unlabelled": len(rows)}
    record["texts"] = fingerprints.hashed(json.dumps([gold, rows], sort_keys=True))
    record |= {"backend": backend, "inputs": fingerprints.of_beginning(inputs)}
    _refuse_other(folder / RECORD, record)
    record["rounds"] = []
    write_json(folder / RECORD, record)
    kept: list[Row] = []
    logits = np.zeros((0, len(names)), np.float32)
    for number in range(how.rounds + 1):
        place = folder / f"round-{number}"
        section = _experiment(place, config, data, gold, kept, logits, how)
        summary = train(section, backend, device, folder, resume=True, progress=progress)
        if summary is None:  # one of several processes, of which the first speaks
            raise InputError("Self-training runs in one process.")
        run = RunDirectory(folder / section.name / backend)
        record["rounds"].append(_scores(summary) | {"pseudo_labels": len(kept)})
        write_json(folder / RECORD, record)
        if number < how.rounds:
            kept, logits, said = _labelled(run, rows, names, how, device)
            record["rounds"][-1] |= said
    write_json(folder / RECORD, record)
    return record


def _refuse_untaught(inputs: Inputs) -> None:
    """Raise InputError where rounds of soft labels, which are a teacher's, would be refused after the first round."""
    plain = to_plain(inputs.config) | {"distillation": {"teacher": f"labels{SUFFIX}"}}
    try:
        from_yaml(dump(plain), inputs.config.name)
        refuse_misfit(inputs, Teacher("the labels of a round", tuple(inputs.data.label_names or ()), ""))
    except InputError as error:
        raise InputError(f"Soft labels are those of a teacher. {error} Or use --labels hard.") from error


def _refuse_other(path: Path, record: Mapping[str, Any]) -> None:
    """Raise InputError where the folder holds rounds of other texts or settings, whose finished runs would be read as
    if they were of these; more rounds continue it."""
    if not path.is_file():
        return
    shape = {"settings": dict, "texts": str, "backend": str, "inputs": dict}
    before = read_json(path, "a record of self-training", "Use --name for new rounds.", shape)
    now = record["settings"]
    changed = [
        f"{name} was {before['settings'].get(name)}, now {value}"
        for name, value in now.items()
        if name != "rounds" and before["settings"].get(name) != value
    ]
    if before["texts"] != record["texts"]:
        changed.append("the labels or the texts without labels are others")
    if before["backend"] != record["backend"]:
        changed.append(f"backend was {before['backend']}, now {record['backend']}")
    if before["texts"] == record["texts"] and before["inputs"] != record["inputs"]:
        changed.append("the other splits, the base model, the tokenizer or the adapter to begin from are others")
    if changed:
        raise InputError(
            f"Self-training is continued with the settings and texts that it began with; {path} differs: "
            f"{'; '.join(changed)}. Use --name for new rounds."
        )


def _experiment(
    place: Path,
    config: ExperimentConfig,
    data: TextData,
    gold: Sequence[Row],
    kept: Sequence[Row],
    logits: np.ndarray,
    how: SelfTraining,
) -> ExperimentConfig:
    """The experiment of a round, whose data are written."""
    sections: dict[str, Any] = {"name": place.name}
    if kept and how.labels == "soft":
        names = list(data.label_names or ())
        given = np.zeros((len(gold), len(names)), np.float32)
        given[np.arange(len(gold)), [names.index(row["label"]) for row in gold]] = _CERTAIN
        found = write_own(place / "data", config, data, [*gold, *kept], sections=sections)
        teacher = (place / "data" / f"labels{SUFFIX}").resolve()
        write_logits(teacher, np.concatenate([given, logits]), load_dataset(found.data, configured(found.model)))
        sections["distillation"] = {"teacher": str(teacher), "temperature": 1.0, "task_weight": 0.0}
    return write_own(place / "data", config, data, [*gold, *kept], sections=sections)


def _labelled(
    run: RunDirectory, rows: Sequence[Row], names: Sequence[str], how: SelfTraining, device: str | None
) -> tuple[list[Row], np.ndarray, dict[str, Any]]:
    """The texts of which a run is certain, with its labels; their logits; and what is said of all."""
    trained = open_trained(run)
    outputs = outputs_of(trained, load_engine(trained, None, device), rows)
    logits = np.stack([output["logits"] for output in outputs])
    uncertain = entropies(logits)
    certain = np.flatnonzero(uncertain <= how.entropy)
    if not len(certain):
        raise InputError(
            f"No text has an entropy of at most {how.entropy:g} bits; the most certain one has {uncertain.min():.3f}. "
            "Give a larger --entropy, or train longer before."
        )
    best = logits.argmax(1)
    counts = np.bincount(best[certain], minlength=len(names))
    said = {
        "certain": len(certain),
        "mean_entropy": float(uncertain.mean()),
        "classes": dict(zip(names, counts.tolist(), strict=True)),
    }
    return [{**rows[index], "label": names[best[index]]} for index in certain], logits[certain], said


def _scores(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {name: summary[name] for name in ("status", "best_step", "validation", "test")}
