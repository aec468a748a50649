"""docs/studies/emotion.md shows what its script wrote, and that is what the accounts say now."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script():
    spec = importlib.util.spec_from_file_location("emotion_memory", ROOT / "scripts/studies/emotion_memory.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_holds_the_tables_of_its_files():
    module = script()
    found, processes = (json.loads(path.read_text(encoding="utf-8")) for path in (module.ACCOUNTS, module.MEASURED))
    text = module.PAGE.read_text(encoding="utf-8")
    assert module.render(text, found, processes) == text


def test_the_accounts_explain_the_published_order():
    module = script()
    cases = json.loads(module.ACCOUNTS.read_text(encoding="utf-8"))["cases"]
    full, two, everything = (cases[name]["peft"] for name in module.PUBLISHED)
    assert two["total"] < everything["total"]
    assert everything["activations"] > full["activations"]
    saved = sum(full[part] - everything[part] for part in ("weights", "gradients", "optimizer"))
    assert everything["activations"] - full["activations"] > 0.9 * saved  # what the adapters keep cancels it


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("name", ["full fine-tuning", "LoRA all linear; dropout 0.1"])
def test_the_file_is_not_stale(name):
    pytest.importorskip("peft")
    from common import backend
    from common.memory import take

    module = script()
    recorded = json.loads(module.ACCOUNTS.read_text(encoding="utf-8"))["cases"][name]
    for way in ("pytorch", "mindspore"):
        found = take(backend.load(way), module.experiment(*module.CASES[name]), 16, 512).plain()
        assert found["total"] == pytest.approx(recorded[way]["total"], rel=0.01)
