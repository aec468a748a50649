"""Models and data sets of ModelScope, through its own package, which is imported where one is asked for and nowhere
else."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from common import hub
from common.errors import InputError

__all__ = ["PREFIX", "data_folder", "model_folder"]

PREFIX = "modelscope:"  #: before an id, where a source may be of several kinds
_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.jinja", "README.md"]  #: never pickles, which can run code
_DATA_FILES = ["*.parquet", "*.csv", "*.tsv", "*.json", "*.jsonl", "*.txt", "*.arrow", "README.md"]  #: never scripts


@functools.cache
def model_folder(source: str) -> Path:
    """The folder of the model ``modelscope:ORG/NAME``, downloaded where it was not before; once in a process.

    Raises:
        InputError: the package or the model is not to be had, or ``source`` is no id.
    """
    return _downloaded(source, "snapshot_download", _MODEL_FILES)


@functools.cache
def data_folder(source: str) -> Path:
    """As `model_folder`, of a data set: its tables; a script that would make them is never run."""
    return _downloaded(source, "dataset_snapshot_download", _DATA_FILES)


def _downloaded(source: str, function: str, patterns: list[str]) -> Path:
    name = source.removeprefix(PREFIX)
    if not _ID.fullmatch(name):
        raise InputError(f"What ModelScope has is named modelscope:ORG/NAME; received {source!r}.")
    try:
        import modelscope
    except ImportError as error:
        raise InputError(
            f"{source} needs the package modelscope, which is not installed. Install it with: pip install modelscope"
        ) from error
    endpoint = _endpoint()
    reason = hub.unreachable(endpoint)
    offline = {"local_files_only": True} if reason and function == "snapshot_download" else {}
    if reason and not offline:
        raise InputError(f"{source} cannot be had: {endpoint} {reason}. Download it elsewhere, and name its files.")
    try:
        return Path(getattr(modelscope, function)(name, allow_patterns=patterns, **offline))
    except Exception as error:  # its client raises errors of many libraries
        lines = str(error).splitlines() or [""]
        said = (
            f"{endpoint} {reason}, and it was not downloaded before"
            if reason
            else f"{type(error).__name__}: {lines[0]}"
        )
        raise InputError(
            f"{source} could not be had from ModelScope: {said.rstrip('.: ')}. Check the id, or download it elsewhere and "
            "name the folder."
        ) from error


def _endpoint() -> str:
    """The variables that the package itself reads."""
    named = os.environ.get("MODELSCOPE_ENDPOINT") or os.environ.get("MODELSCOPE_DOMAIN") or "https://modelscope.cn"
    return named if "://" in named else f"https://{named}"
