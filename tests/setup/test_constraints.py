"""The pinned versions cover what setup.cfg asks for, on every supported Python, and work together in one process."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def pins(python: str) -> dict[str, str]:
    """Package to pinned version on one Python."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    chosen = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            name, (pin,) = canonicalize_name(requirement.name), requirement.specifier
            assert pin.operator == "=="
            assert name not in chosen, f"{name} is pinned twice on Python {python}"
            chosen[name] = pin.version
    return chosen


def requirements() -> list[Requirement]:
    """Everything setup.cfg asks for, extras included."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    sections = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    return [
        Requirement(line) for section in sections for line in section.splitlines() if line and not line.startswith("#")
    ]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_requirement_is_pinned_within_its_range(python):
    pinned = pins(python)
    for requirement in requirements():
        if requirement.marker is not None and not requirement.marker.evaluate({"python_version": python}):
            continue
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} has no pin on Python {python}"
        assert requirement.specifier.contains(version), f"{requirement} does not allow the pinned {version}"


@pytest.mark.parametrize("extra", ["mindspore", "all"])
def test_mindspore_is_asked_for_where_it_has_wheels(extra):
    """With it comes NumPy 1, of which Python 3.13 has no wheel."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options.extras_require"][extra].splitlines()
    asked = {one.name: one for one in (Requirement(line) for line in lines if line and not line.startswith("#"))}
    for name in ("mindspore", "numpy", "pyarrow"):
        marker = asked[name].marker
        held = [marker.evaluate({"python_version": f"3.{minor}"}) for minor in (10, 11, 12, 13)]
        assert held == [True, True, True, False], name
    assert pins("3.12")["numpy"] < "2" <= pins("3.13")["numpy"]


def test_the_installed_data_libraries_import_together():
    """pyarrow 26 installs beside NumPy 1.26 without complaint and refuses to be imported."""
    code = "import numpy, pyarrow, pandas, datasets, transformers, matplotlib; assert numpy.__version__ < '2'"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
