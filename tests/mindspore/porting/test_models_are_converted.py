"""The networks that are written once: converting their PyTorch files again gives the committed MindSpore files."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("libcst")

ROOT = Path(__file__).resolve().parents[3]


def _script() -> ModuleType:
    found = importlib.util.spec_from_file_location("convert_models", ROOT / "scripts/convert_models.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # where dataclasses look for it
    found.loader.exec_module(module)
    return module


SCRIPT = _script()
SCRIPT.counterpart = functools.cache(SCRIPT.counterpart)  # each file once
SOURCES = SCRIPT.sources()


def test_there_are_networks_and_layers_to_convert():
    folders = {path.parent.name for path in SOURCES}
    assert folders >= {"layers", "models"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_converting_again_gives_the_committed_file(path):
    text, _ = SCRIPT.counterpart(path)
    assert SCRIPT.target(path).read_text("utf-8") == text, "run scripts/convert_models.py"


def test_nothing_is_left_to_a_person():
    left = {path.stem: found.todos for path in SOURCES for _, found in [SCRIPT.counterpart(path)] if found.todos}
    assert left == {}


def test_a_changed_source_gives_another_file(tmp_path, monkeypatch):
    path = SOURCES[0]
    changed = tmp_path / "pytorch_impl" / path.parent.name / path.name
    changed.parent.mkdir(parents=True)
    changed.write_text(path.read_text("utf-8").replace("return ", "return 2 * ", 1), "utf-8")
    text, _ = SCRIPT.counterpart(path)
    monkeypatch.setattr(SCRIPT, "ROOT", tmp_path)
    assert SCRIPT.sources() == [changed]
    assert SCRIPT.counterpart(changed)[0] != text


def test_the_table_of_the_page_is_that_of_the_files():
    page = SCRIPT.PAGE.read_text("utf-8")
    shown = page.split(SCRIPT.BEGIN)[1].split(SCRIPT.END)[0]
    assert shown.strip().splitlines() == SCRIPT.rows(), "run scripts/convert_models.py --table"
