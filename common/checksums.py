"""A sha256 inside a safetensors file: it is written in the same step as the file, is copied with it, and is ignored by
everybody else.

The file begins with ``{"__metadata__":{"checksum":"sha256:<64 digits>"``; the digest is that of the
whole file with zeros in the place of the 64 digits. A checksum beside the file could be separated
from it, would outlive it where another program replaces the file, and could not be renamed in the
same step.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from common.errors import InputError

__all__ = ["KEY", "sealed", "verify"]

KEY = "checksum"
_PREFIX = b'{"__metadata__":{"checksum":"sha256:'
_PLACE = 8 + len(_PREFIX)  #: of the digits in the file
_DIGITS = 64
#: where the entry stands, with whatever name: damage to the name must not pass for a file that never had one
_ENTRY = re.compile(rb'\{"__metadata__":\{"[^"]{8}":"sha256:[0-9a-f]{64}"')
_CHUNK = 2**20


def sealed(serialized: bytes, metadata: Mapping[str, str]) -> tuple[bytes, memoryview]:
    """Head and data of the safetensors file ``serialized`` with ``metadata``, sorted by name, and its checksum. Equal
    arguments give equal bytes.

    Raises:
        ValueError: ``metadata`` has an entry of the checksum's name.
    """
    if KEY in metadata:
        raise ValueError(f"the metadata entry {KEY!r} is the file's checksum; give yours another name")
    length = int.from_bytes(serialized[:8], "little")
    tensors = json.loads(serialized[8 : 8 + length])
    tensors.pop("__metadata__", None)
    entries = {KEY: f"sha256:{'0' * _DIGITS}"} | dict(sorted(metadata.items()))
    text = json.dumps({"__metadata__": entries} | tensors, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    head = len(text).to_bytes(8, "little") + text
    data = memoryview(serialized)[8 + length :]
    digest = hashlib.sha256(head)
    digest.update(data)
    return head[:_PLACE] + digest.hexdigest().encode() + head[_PLACE + _DIGITS :], data


def verify(path: Path, file: BinaryIO, head: bytes, metadata: Mapping[str, str]) -> bool:
    """Whether the open ``file`` carries a checksum; one that was written elsewhere has none.

    Args:
        head: the file up to its data.
        metadata: as read from ``head``.

    Raises:
        InputError: the checksum is not that of the file.
    """
    if KEY not in metadata and not _ENTRY.match(head, 8):
        return False
    digest = hashlib.sha256(head[:_PLACE] + b"0" * _DIGITS + head[_PLACE + _DIGITS :])
    file.seek(len(head))
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    if not head[8:].startswith(_PREFIX) or head[_PLACE : _PLACE + _DIGITS] != digest.hexdigest().encode():
        raise InputError(
            f"{path} is not what was written: its contents do not have the sha256 that its metadata entry {KEY!r} says. "
            "It was damaged or changed: copy it again from a good place. If another program rewrote it on purpose, remove that entry."
        )
    return True
