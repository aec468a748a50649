"""How much the server takes at once, and how long it waits."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import InputError

__all__ = ["ServingOptions", "is_local"]


@dataclass(frozen=True)
class ServingOptions:
    """Raises InputError for values that do not fit, all of them at once."""

    host: str = "127.0.0.1"
    port: int = 8000  #: 0: one that is free
    max_batch: int | None = (
        None  #: texts that are computed together; None: ``training.evaluation_batch_size`` of the run
    )
    max_wait: float = 0.005  #: seconds that a text waits for others to share its batch
    max_queue: int = 1024  #: texts of one artifact that may wait
    max_body: int = 2**20  #: bytes of a request
    read_timeout: float = 10.0  #: seconds that the body of a request may take
    grace: float = 30.0  #: seconds after a signal in which accepted requests are answered

    def __post_init__(self) -> None:
        problems = [*self._problems()]
        if problems:
            raise InputError(" ".join(f"{problem}." for problem in problems))

    def _problems(self) -> Iterator[str]:
        for name, least in (("port", 0), ("max_batch", 1), ("max_queue", 1), ("max_body", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                yield f"--{name.replace('_', '-')} must be at least {least}; received {value}"
        if self.port > 65535:
            yield f"--port must be at most 65535; received {self.port}"
        for name in ("max_wait", "read_timeout", "grace"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                yield f"--{name.replace('_', '-')} must be a finite number of at least 0; received {value}"


def is_local(host: str) -> bool:
    """Whether a name or address is this machine's alone.

    >>> is_local("127.0.0.1"), is_local("localhost"), is_local("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
