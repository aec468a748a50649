"""Accounts of the memory of a study's runs, kept in ``STUDY/memory.json`` so that a report needs no framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import write_json
from common.reading import read_json
from common.report.study.records import Record, Study, combination
from common.report.study.tables import shown
from common.terminal import notice

__all__ = ["account_for", "kept_accounts"]

_FILE = "memory.json"
_ACCOUNT = {"total": int, "weights": int, "gradients": int, "optimizer": int, "activations": int}
_REMEDY = "Remove it, and give --memory again."


def account_for(study: Study) -> None:
    """Write the account of every finished run whose size differs, at its own batch size and longest text.

    What has none (a layer without a formula, a framework that is not installed) is said and left out.
    """
    from common import backend as backends
    from common.memory import take

    found: dict[str, Any] = {}
    for record in study.finished:
        config = record.run.read_config()
        training = config.training
        rows = training.micro_batch_size or training.global_batch_size
        try:
            account = take(backends.load(record.point["backend"]), config, rows, config.data.max_length)
        except InputError as error:
            notice(f"{record.point['run']} has no account of its memory: {error}")
            continue
        found[record.point["id"]] = account.plain()
    write_json(study.path / _FILE, found)


def kept_accounts(study: Study) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and account of runs that differ in it, in the order of the plan; empty where none was written."""
    path: Path = study.path / _FILE
    if not path.is_file():
        return []
    kept = read_json(path, "the accounts of a study", _REMEDY, {...: _ACCOUNT})
    groups: dict[Any, list[Record]] = {}
    for record in study.finished:
        account = kept.get(record.point["id"])
        if account is not None:
            sizes = (record.point["backend"], *(account[part] for part in _ACCOUNT))
            groups.setdefault(sizes, []).append(record)
    several = len({record.point["backend"] for record in study.finished}) > 1
    return [(_name(members, several), kept[members[0].point["id"]]) for members in groups.values()]


def _name(records: Sequence[Record], several: bool) -> str:
    """What the labels of ``records`` have in common."""
    common = set.intersection(*({(axis, str(value)) for axis, value in combination(record)} for record in records))
    words = [f"{shown(axis)} {value}" for axis, value in combination(records[0]) if (axis, str(value)) in common]
    return ", ".join(words + ([records[0].point["backend"]] if several else [])) or "every run"
