"""Environment variables as numbers and addresses, and the errors that name them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from common.errors import InputError

__all__ = ["Variables"]


class Variables:
    """Typed reading of ``environ``; whatever does not fit is an InputError that names the variables. An empty variable
    counts as unset.

    Args:
        resolve: from a host name to an address; raises OSError for an unknown name.
    """

    def __init__(self, environ: Mapping[str, str], resolve: Callable[[str], str]):
        self._values, self._resolve = {name: value.strip() for name, value in environ.items() if value.strip()}, resolve

    def has(self, name: str) -> bool:
        """Whether it is set."""
        return name in self._values

    def get(self, name: str, default: str) -> str:
        """Its text, or ``default``."""
        return self._values.get(name, default)

    def __getitem__(self, name: str) -> str:
        if name not in self._values:
            raise self.wrong(
                f"the launcher sets {name}", "set it, or unset what else the launcher sets, for a single process", name
            )
        return self._values[name]

    def number(self, name: str, default: int | None = None, least: int = 0) -> int:
        """A whole number; without a default it must be set."""
        if default is not None and name not in self._values:
            return default
        text = self[name]
        self.check(
            re.fullmatch("[0-9]{1,18}", text) is not None and int(text) >= least,
            f"{name} is a whole number from {least} on",
            name,
        )
        return int(text)

    def address(self, name: str) -> str:
        """The address of the host that it names."""
        return self.resolved(name, self[name])

    def resolved(self, name: str, host: str) -> str:
        """The address of ``host``, which stands in ``name``."""
        try:
            return self._resolve(host)
        except OSError as error:
            raise self.wrong(
                f"{name} holds host names that can be resolved ({host}: {error})",
                "check the job's network, or give an address",
                name,
            ) from error

    def check(self, right: bool, rule: str, *names: str) -> None:
        """Raise unless the ``rule`` on ``names`` is kept."""
        if not right:
            raise self.wrong(
                rule, "correct or unset what this job sets itself; what is left is a fault of the platform", *names
            )

    def wrong(self, rule: str, advice: str, *names: str) -> InputError:
        """The error that says the rule, what was received and what to do."""
        received = ", ".join(
            f"{name}={self._values[name]}" if name in self._values else f"{name} is not set" for name in names
        )
        return InputError(f"Topology: {rule}; received {received}. What to do: {advice}.")
