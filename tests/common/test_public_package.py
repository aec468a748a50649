"""The package `twinlora`: its version and command, and the error where another `common` comes first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import common
import twinlora
from common.errors import InputError
from common.resources import code_folder, configs_folder, package_folder


def python(*arguments: str, folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_has_the_version_of_the_packages():
    assert twinlora.__version__ == common.__version__


@pytest.mark.parametrize("module", ["twinlora", "common.cli"])
def test_the_command_runs_as_a_module(module, tmp_path):
    done = python("-m", module, "--version", folder=tmp_path, path=str(code_folder()))
    assert (done.stdout, done.returncode) == (f"twinlora {common.__version__}\n", 0), done.stderr


@pytest.mark.parametrize("name", ["common", "pytorch_impl", "mindspore_impl"])
@pytest.mark.parametrize("as_file", [True, False])
def test_the_folder_or_file_that_shadows_a_package_is_named(name, as_file, tmp_path):
    other = tmp_path / (f"{name}.py" if as_file else name)
    if not as_file:
        other.mkdir()
    (other if as_file else other / "__init__.py").write_text("raise SystemError('not to be imported')")
    done = python("-c", "import twinlora", folder=tmp_path, path=os.pathsep.join([str(tmp_path), str(code_folder())]))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: twinlora needs its own package '{name}', in {package_folder(name)};")
    assert f"finds {other}, which comes first on sys.path" in last
    assert "not to be imported" not in done.stderr


def test_a_missing_package_is_refused():
    with pytest.raises(InputError, match="no_such_package must be installed"):
        package_folder("no_such_package")


def test_finding_the_folder_of_a_backend_imports_nothing(tmp_path):
    code = (
        "import sys; from common.resources import package_folder; print(package_folder('mindspore_impl'),"
        " [name for name in ('mindspore_impl', 'mindspore') if name in sys.modules])"
    )
    done = python("-c", code, folder=tmp_path, path=str(code_folder()))
    assert done.stdout == f"{code_folder() / 'mindspore_impl'} []\n", done.stderr


def test_configurations_stand_at_the_top_of_a_checkout_and_in_the_installed_package(tmp_path, monkeypatch):
    monkeypatch.setattr("common.resources.package_folder", lambda name: tmp_path / name)
    assert configs_folder() == tmp_path / "configs"
    (tmp_path / "common" / "configs").mkdir(parents=True)
    assert configs_folder() == tmp_path / "common" / "configs"
