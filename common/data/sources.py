"""Where a model or tokenizer lives: a local folder, a folder inside an installed package, ModelScope, or (None) the
Hugging Face hub."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from common import modelscope
from common.errors import InputError
from common.reading import expanded

__all__ = ["hub_id", "portable_name", "resolve_folder"]

_PREFIX = "python:"


def resolve_folder(source: str) -> Path | None:
    """Return the local folder that ``source`` names, or None when it is a hub id.

    ``python:PACKAGE/FOLDER`` is FOLDER inside an installed package, which is located but not imported;
    ``modelscope:ORG/NAME`` a model of ModelScope, which is downloaded where it was not before.

    Raises:
        InputError: the package, its folder or the model is not there, or ``source`` is written as a path and no such folder
            exists.
    """
    if source.startswith(_PREFIX):
        return _package_folder(source)
    if source.startswith(modelscope.PREFIX):
        return modelscope.model_folder(source)
    folder = expanded(source)
    if os.path.isdir(folder):  # unlike Path's, these take a name that is too long for one that is not there
        return folder
    if os.path.exists(folder):
        raise InputError(f"A folder was expected; {source} is a file. Name the folder that holds it.")
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:  # a hub id is NAME or OWNER/NAME
        raise InputError(
            f"There is no folder {source}. Give an existing folder, python:PACKAGE/FOLDER, modelscope:ORG/NAME or the id of a Hugging Face hub repository."
        )
    return None


def portable_name(source: str | None) -> str | None:
    """What other programs open too: a hub id as it is, a folder by its whole path, also that of ``python:``. What is
    not here keeps its name."""
    try:
        folder = resolve_folder(source) if source else None
    except InputError:
        folder = None
    return str(folder.resolve()) if folder is not None else source


def hub_id(source: str | None) -> str | None:
    """The id on the Hugging Face hub of a model that ``source`` names: the id itself, or that of a folder in the cache
    of the hub's client. None for any other folder.

    >>> hub_id("~/.cache/huggingface/hub/models--google-bert--bert-base-uncased/snapshots/0a6aa9")
    'google-bert/bert-base-uncased'
    """
    if not source:
        return None
    cached = re.search(r"(?:^|/)models--([^/]+)/snapshots/[^/]+/?$", source)
    if cached:
        return cached[1].replace("--", "/")
    try:
        return source if resolve_folder(source) is None else None
    except InputError:  # a path of another machine
        return None


def _package_folder(source: str) -> Path:
    package, _, inner = source.removeprefix(_PREFIX).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"{source} names a folder in the Python package {package!r}, which is not installed. Install it with: pip install {package.replace('_', '-')}"
        )
    folders = [Path(location) / inner for location in spec.submodule_search_locations]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise InputError(f"{source} names a folder that the installed package does not hold: {folders[0]} is missing.")
