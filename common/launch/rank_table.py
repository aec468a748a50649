"""Ascend rank tables: which cards form the job.
 There are two templates. Huawei's documents call the one with ``server_list`` template 1 and the older one with
``group_list`` template 2; ModelArts writes the older one into custom images, MindSpore reads the newer one. In the
older one ranks are the order of the devices.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import InputError, RunError
from common.reading import check_shape, read_json

__all__ = ["Device", "RankTable", "parse_rank_table", "wait_for_rank_table"]

_REMEDY = "Unset RANK_TABLE_FILE for a single card; otherwise have the platform write it anew: restart the job."
_CARD = {"device_id": str | int, "device_ip?": str | None}
_TEMPLATES = {
    "server_list": {"server_list": [{"device": [_CARD | {"rank_id": str | int}], "server_id": str}]},
    "group_list": {"group_list": [{"instance_list": [{"devices": [_CARD], "server_id": str}]}]},
}
_FILE = "jobstart_hccl.json"  # in the folder that RANK_TABLE_FILE names in a custom image


@dataclass(frozen=True)
class Device:
    """One card of the job."""

    rank: int
    server: str
    device_id: int
    address: str | None  #: of the card's own network interface; a single card may have none


@dataclass(frozen=True)
class RankTable:
    """The cards of a job by rank. ``template`` is the one that was read, server_list or group_list."""

    template: str
    devices: tuple[Device, ...]

    @property
    def servers(self) -> tuple[str, ...]:
        """The nodes, in the order of their ranks."""
        return tuple(dict.fromkeys(device.server for device in self.devices))

    def to_json(self) -> str:
        """The table in the template that MindSpore reads."""
        servers = [
            {"server_id": server, "device": [_entry(device) for device in self.devices if device.server == server]}
            for server in self.servers
        ]
        return (
            json.dumps(
                {"version": "1.0", "server_count": str(len(servers)), "server_list": servers, "status": "completed"},
                indent=2,
            )
            + "\n"
        )


def wait_for_rank_table(path: Path, patience: float = 600.0, interval: float = 1.0) -> RankTable:
    """Read the rank table at ``path``, or in that folder, as soon as its status is "completed".

    The platform writes the file while the job starts: for ``patience`` seconds it may be missing, half-written or
    incomplete.

    Raises:
        RunError: it was not completed in time.
        InputError: it is complete and no rank table.
    """
    deadline = time.monotonic() + patience
    while True:
        file = path / _FILE if path.is_dir() else path
        table, seen = _look(file)
        if seen == "status 'completed'":
            return parse_rank_table(table, str(file))
        if time.monotonic() >= deadline:
            raise RunError(
                f"A rank table must reach status 'completed'; after {patience:g} s {file} still has {seen}. "
                "The cards of the job did not all start: look for a node without a log, and restart the job."
            )
        time.sleep(interval)


def parse_rank_table(table: dict[str, Any], origin: str) -> RankTable:
    """Read a completed rank table of either template.

    Raises:
        InputError: something is missing, or the ranks are not 0, 1, 2, ...
    """
    template = "server_list" if "server_list" in table else "group_list"
    check_shape(table, _TEMPLATES[template], origin, "a rank table with server_list or group_list", _REMEDY)
    try:
        if template == "server_list":
            devices = [
                _device(entry, server, int(entry["rank_id"]))
                for server in table["server_list"]
                for entry in server["device"]
            ]
        else:
            instances = [instance for group in table["group_list"] for instance in group["instance_list"]]
            pairs = [(entry, instance) for instance in instances for entry in instance["devices"]]
            devices = [_device(entry, instance, rank) for rank, (entry, instance) in enumerate(pairs)]
    except ValueError as error:
        raise InputError(f"{origin}: the ids of a rank table must be integers; {error}. {_REMEDY}") from error
    devices.sort(key=lambda device: device.rank)
    ranks = [device.rank for device in devices]
    if not ranks or ranks != list(range(len(ranks))):
        raise InputError(
            f"The ranks of a rank table are 0, 1, 2, ...; {origin} has {ranks or 'no device'}. Have the platform write it anew: restart the job."
        )
    return RankTable(template, tuple(devices))


def _look(file: Path) -> tuple[Any, str]:
    """What is in ``file`` now, and that in words."""
    if not file.exists():
        return None, "no file"
    try:
        table = read_json(file, "a rank table", "")
    except InputError as error:
        return None, f"half a file ({error})"
    return table, f"status {table.get('status')!r}" if isinstance(table, dict) else "no JSON object"


def _device(entry: dict[str, Any], server: dict[str, Any], rank: int) -> Device:
    return Device(rank, str(server["server_id"]), int(entry["device_id"]), entry.get("device_ip"))


def _entry(device: Device) -> dict[str, str]:
    address = {"device_ip": device.address} if device.address is not None else {}
    return {"device_id": str(device.device_id), **address, "rank_id": str(device.rank)}
