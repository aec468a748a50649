"""Members of an axis (families, tasks, methods, transforms), found by file name.

A member is one module in the axis's package that binds ``MEMBER``. Adding a file adds the member: no registry, no
``if`` and no other file changes. Folders named by ``TWINLORA_PLUGINS`` (separated as in ``PATH``) are searched as
well; each has the layout of the checkout, for example ``FOLDER/common/tasks/my_task.py`` and
``FOLDER/pytorch_impl/tasks/my_task.py``.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

from common.errors import InputError, nearest

__all__ = ["Members", "extended_path", "file_name", "plugin_folders"]

Member = TypeVar("Member")


def plugin_folders(package: str) -> list[Path]:
    """The folders of plugins that belong to ``package``, in the order in which they are searched."""
    roots = [root for root in os.environ.get("TWINLORA_PLUGINS", "").split(os.pathsep) if root]
    folders = [Path(root, *package.split(".")) for root in roots]
    return [folder for folder in folders if folder.is_dir()]


def extended_path(path: list[str], package: str) -> list[str]:
    """``__path__`` of ``package`` with the folders that plugins add to it."""
    return [*path, *(folder for folder in map(str, plugin_folders(package)) if folder not in path)]


def file_name(member: str) -> str:
    """The module of a member: ``sequence-classification`` is in ``sequence_classification.py``."""
    return member.replace("-", "_")


class Members(Generic[Member]):
    """The members of one axis.

    Args:
        package: dotted name of the axis's package, such as ``common.tasks``.
        kind: base class of its members.
        entry: the configuration entry that names a member, for messages.
        separator: between the words of a member's name; either is accepted from users.
        base: module of the package that holds the contract and is no member itself.
    """

    def __init__(self, package: str, kind: type[Member], entry: str, separator: str, base: str):
        self._package, self._kind, self._entry, self._separator, self._base = package, kind, entry, separator, base

    def names(self) -> tuple[str, ...]:
        """Every member's name, sorted."""
        package = importlib.import_module(self._package)
        found = (module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)
        helpers = {self._base, *getattr(package, "HELPERS", ())}
        return tuple(sorted(name.replace("_", self._separator) for name in found if name not in helpers))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.replace("_", self._separator) in self.names()

    def __iter__(self) -> Iterator[Member]:
        return map(self.get, self.names())

    def get(self, name: str) -> Member:
        """The member ``name``.

        Raises:
            InputError: there is none; the nearest names are given.
        """
        if name not in self:
            known = self.names()
            raise InputError(
                f"{self._entry} must be one of {', '.join(known)}; received {name!r}.{nearest(name, known)}"
            )
        module = importlib.import_module(f"{self._package}.{file_name(name)}")
        member = getattr(module, "MEMBER", None)
        if not isinstance(member, self._kind):
            raise InputError(
                f"{module.__file__} must bind MEMBER to a {self._kind.__module__}.{self._kind.__name__}; "
                f"it binds {type(member).__name__}."
            )
        return member
