"""Where the files of the packages are, in a checkout and installed alike."""

from __future__ import annotations

import hashlib
import importlib.resources
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from common.errors import InputError
from common.members import plugin_folders

__all__ = ["cache_folder", "code_folder", "code_hash", "configs_folder", "package_folder"]


def package_folder(name: str) -> Path:
    """Folder of the package ``name``. The package is not imported: importing a backend imports its framework.

    Raises:
        InputError: there is no such package.
    """
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise InputError(f"The package {name} must be installed with twinlora; it is not. Install twinlora again.")
    return Path(str(importlib.resources.files(importlib.util.module_from_spec(spec))))


def _modules_of(package: str) -> Iterator[tuple[str, bytes]]:
    """(path inside ``package``, source) of its modules in a fixed order: those of the project, then those of plugins."""
    top, *inner = package.split(".")
    for folder in (package_folder(top).joinpath(*inner), *plugin_folders(package)):
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def code_hash(packages: Sequence[str], left_out: Callable[[str, str], bool] = lambda package, path: False) -> str:
    """sha256 of the modules of ``packages``, those of plugins included.

    Args:
        left_out: whether to leave out a module, by its package and its path inside it.
    """
    digest = hashlib.sha256()
    for package in packages:
        for path, content in _modules_of(package):
            if not left_out(package, path):
                digest.update(f"{package}/{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def code_folder() -> Path:
    """Folder that holds the packages: the checkout, or site-packages."""
    return package_folder("common").parent


def configs_folder() -> Path:
    """Folder of the shipped experiments: ``configs/`` of a checkout, which is installed as ``common/configs/``."""
    installed = package_folder("common") / "configs"
    return installed if installed.is_dir() else code_folder() / "configs"


def cache_folder() -> Path:
    """Where what only saves time is kept: ``TWINLORA_CACHE``, or ``~/.cache/twinlora``."""
    return Path(os.environ.get("TWINLORA_CACHE") or Path.home() / ".cache" / "twinlora")
