"""The request that creates a ModelArts training job (REST, version 2): filling a template, and checking it field by
field without the platform's packages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from common.errors import InputError, nearest

__all__ = ["JOB", "MA_CLI", "TEXTS", "check", "fill", "rules"]

TEXTS = "texts"  #: a mapping from text to text

_OBS = {"obs_url!": str}
_CHANNEL = {"name!": str, "description": str, "local_dir": str, "access_method": str}
#: Fields and types of POST /v2/{project_id}/training-jobs, as far as one might set them here; ``!`` marks those that must be given.
JOB: dict[str, Any] = {
    "kind!": str,
    "metadata!": {"name!": str, "workspace_id": str, "description": str, "annotations": TEXTS},
    "algorithm!": {
        "id": str,
        "name": str,
        "subscription_id": str,
        "item_version_id": str,
        "code_dir": str,
        "boot_file": str,
        "command": str,
        "local_code_dir": str,
        "working_dir": str,
        "engine": {
            "engine_id": str,
            "engine_name": str,
            "engine_version": str,
            "image_url": str,
            "install_sys_packages": bool,
        },
        "parameters": [{"name!": str, "value!": str, "description": str}],
        "inputs": [
            {
                **_CHANNEL,
                "remote!": {"obs": _OBS, "dataset": {"id": str, "version_id": str, "obs_url": str, "name": str}},
            }
        ],
        "outputs": [{**_CHANNEL, "remote!": {"obs!": _OBS}}],
        "environments": TEXTS,
    },
    "spec!": {
        "resource!": {"flavor_id": str, "node_count!": int, "pool_id": str},
        "volumes": [
            {
                "nfs": {"nfs_server_path!": str, "local_path!": str, "read_only": bool},
                "pfs": {"pfs_path!": str, "local_path!": str},
                "obs": {"obs_path!": str, "local_path!": str},
            }
        ],
        "log_export_path": _OBS,
        "auto_stop": {"time_unit!": str, "duration!": int},
        "schedule_policy": {"priority": int, "preemptible": bool},
    },
}
#: Options of ``ma-cli ma-job submit`` for a custom image, as keys of its YAML file.
MA_CLI: dict[str, Any] = {
    "name!": str,
    "description": str,
    "image-url!": str,
    "uid": int,
    "code-dir!": str,
    "working-dir": str,
    "local-code-dir": str,
    "user-command!": str,
    "data-url": str,
    "log-url": str,
    "train-instance-type!": str,
    "train-instance-count!": int,
    "pool-id": str,
}
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """``template`` with every text ``${name}`` replaced by the value of that name, which keeps its type.

    Raises:
        InputError: there is no value of that name.

    Where the value is None the entry goes, and with it the item of a list that it belongs to, and what is empty then.
    """
    if isinstance(template, dict):
        filled = {key: fill(value, values) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value not in (None, {}, [])}
    if isinstance(template, list):
        return [
            fill(item, values) for item in template if all(values.get(name, "") is not None for name in _names(item))
        ]
    if isinstance(template, str) and (whole := _PLACEHOLDER.fullmatch(template)):
        if whole[1] not in values:
            raise InputError(
                f"A template may hold the placeholders {', '.join(values)}; received {template}.{nearest(whole[1], values)}"
            )
        return values[whole[1]]
    return template


def check(document: Any, schema: Any, path: str = "") -> Iterator[str]:
    """Every field of ``document`` that ``schema`` does not know, that has another type, or that is missing."""
    if schema == TEXTS:
        right = isinstance(document, dict) and all(isinstance(text, str) for pair in document.items() for text in pair)
        yield from () if right else [f"{path} must map text to text; received {document!r}"]
    elif isinstance(schema, list):
        if not isinstance(document, list):
            yield f"{path} must be a list; received {document!r}"
            return
        for place, item in enumerate(document):
            yield from check(item, schema[0], f"{path}[{place}]")
    elif isinstance(schema, dict):
        yield from _check_fields(document, schema, path)
    elif not isinstance(document, schema) or (schema is int and isinstance(document, bool)):
        yield f"{path} must be of type {schema.__name__}; received {document!r}"


def rules(job: Mapping[str, Any]) -> Iterator[str]:
    """What the platform demands beyond types, of a job whose fields are right."""
    metadata, algorithm, spec = job["metadata"], job["algorithm"], job["spec"]
    engine, environments = algorithm.get("engine", {}), algorithm.get("environments", {})
    channels = [*algorithm.get("inputs", []), *algorithm.get("outputs", [])]
    names = [entry["name"] for entry in (*algorithm.get("parameters", []), *channels)]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", metadata["name"]):
        yield f"metadata.name must be 1 to 64 letters, digits, _ and -; received {metadata['name']!r}"
    if (
        sum(
            [
                bool(engine.get("engine_id")),
                bool(engine.get("engine_name") and engine.get("engine_version")),
                bool(engine.get("image_url")),
            ]
        )
        != 1
    ):
        yield f"algorithm.engine must name an engine and its version, or an image; received {engine}"
    starter, other = ("command", "boot_file") if engine.get("image_url") else ("boot_file", "command")
    if not algorithm.get("code_dir") or not algorithm.get(starter) or algorithm.get(other):
        yield "algorithm must have code_dir, and boot_file for a preset engine or command for an image"
    if algorithm.get("boot_file") and not algorithm["boot_file"].startswith(algorithm.get("code_dir", "")):
        yield f"algorithm.boot_file must be in code_dir; received {algorithm['boot_file']}"
    yield from (
        f"{name} is given twice, as a parameter or a channel"
        for name in sorted({name for name in names if names.count(name) > 1})
    )
    if not (spec["resource"].get("flavor_id") or spec["resource"].get("pool_id")) or spec["resource"]["node_count"] < 1:
        yield f"spec.resource must name a flavor or a pool, and at least one node; received {spec['resource']}"
    if len(environments) > 100 or any(name.startswith("MA_") or "$" in value for name, value in environments.items()):
        yield f"algorithm.environments: at most 100, no name may begin with MA_, and $ is not replaced; received {', '.join(environments)}"
    for channel in channels:
        if channel.get("access_method", "parameter") != "parameter":
            yield f"the channel {channel['name']} must have access_method parameter: the boot file reads its place from the command line"


def _check_fields(document: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if not isinstance(document, dict):
        yield f"{path or 'the request'} must be an object; received {document!r}"
        return
    known = {name.rstrip("!"): inner for name, inner in schema.items()}
    prefix = f"{path}." if path else ""
    yield from (f"{prefix}{name} is no field.{nearest(name, known)}" for name in document if name not in known)
    yield from (
        f"{prefix}{name[:-1]} must be given" for name in schema if name.endswith("!") and name[:-1] not in document
    )
    for name in document.keys() & known.keys():
        yield from check(document[name], known[name], f"{prefix}{name}")


def _names(template: Any) -> set[str]:
    """The placeholders anywhere in ``template``."""
    if isinstance(template, dict | list):
        return set().union(*(_names(item) for item in (template.values() if isinstance(template, dict) else template)))
    return set(_PLACEHOLDER.findall(template)) if isinstance(template, str) else set()
