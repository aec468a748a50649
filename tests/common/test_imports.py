"""Who imports what, each proved in a process of its own."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import common
from tests.support import HANGS

ROOT = Path(common.__file__).resolve().parents[1]
FRAMEWORKS = ("torch", "mindspore")
HEAVY = (
    *FRAMEWORKS,
    "transformers",
    "datasets",
    "matplotlib",
    "peft",
    "pandas",
    "pyarrow",
    "safetensors",
    "huggingface_hub",
)


def imported(statement: str, watched: tuple[str, ...]) -> set[str]:
    """Which of the ``watched`` packages a fresh interpreter has loaded after ``statement``."""
    code = f"{statement}\nimport json, sys\nprint('LOADED', json.dumps([name for name in {watched!r} if name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("LOADED ")]
    return set(json.loads(line.removeprefix("LOADED ")))


def modules_of(package: str) -> list[str]:
    found = [name for _, name, _ in pkgutil.walk_packages([str(ROOT / package)], f"{package}.")]
    return [package, *found]


def test_the_watch_sees_an_import():
    assert imported("import json, colorsys", ("colorsys", "torch")) == {"colorsys"}


def test_no_module_of_common_imports_a_framework():
    modules = modules_of("common")
    assert len(modules) > 40
    assert imported("import " + ", ".join(modules), FRAMEWORKS) == set()


def test_no_line_of_common_imports_a_framework_or_a_backend():
    """Inside functions neither, which importing the modules does not show."""
    forbidden = {*FRAMEWORKS, "peft", "pytorch_impl", "mindspore_impl"}
    found = []
    for path in sorted((ROOT / "common").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            found += [
                f"{path.relative_to(ROOT)}:{node.lineno} {name}"
                for name in names
                if name.partition(".")[0] in forbidden
            ]
    assert found == []


@pytest.mark.needs_mindspore
def test_the_mindspore_backend_imports_no_torch():
    """Nor `transformers`, which would import torch where it is installed."""
    assert imported("import " + ", ".join(modules_of("mindspore_impl")), (*FRAMEWORKS, "transformers")) == {"mindspore"}


@pytest.mark.needs_pytorch
def test_the_pytorch_backend_imports_no_mindspore():
    assert imported("import " + ", ".join(modules_of("pytorch_impl")), FRAMEWORKS) == {"torch"}


def test_the_command_line_starts_without_anything_heavy():
    assert (
        imported("import common.cli.main as m\ntry:\n    m.main(['--help'])\nexcept SystemExit: pass", HEAVY) == set()
    )
