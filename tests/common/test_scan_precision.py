"""The judged samples of the scanner's findings: what the pages say of them is what was judged."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEPT = json.loads((ROOT / "docs" / "scan_precision.json").read_text(encoding="utf-8"))


@pytest.fixture
def precision(monkeypatch):
    """The script."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "bench"))
    return importlib.import_module("scan_precision")


def test_every_finding_has_a_verdict_and_a_wrong_one_a_reason(precision):
    for sample in KEPT["samples"]:
        counted = {name: sum(one["stratum"] == name for one in sample["findings"]) for name in precision.STRATA}
        assert counted == precision.STRATA
        for one in sample["findings"]:
            assert one["verdict"] in ("right", "wrong", "undecidable")
            assert bool(one["reason"]) == (one["verdict"] != "right"), one


@pytest.mark.parametrize(("page", "word"), [("porting.md", "to"), ("porting.zh-CN.md", "至")])
def test_the_pages_give_the_judged_shares(precision, page, word):
    rows = [line for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    first, second = (precision.table(sample["findings"])[2:] for sample in KEPT["samples"])
    for before, after in zip(first, second, strict=True):
        (_, judged, _, _, _, share, interval), (*_, later, its) = (
            row.strip("| ").split(" | ") for row in (before, after)
        )
        tail = f"| {judged} | {share} | {interval} | {later} | {its} |".replace(" to ", f" {word} ")
        assert any(row.endswith(tail) for row in rows), tail


def test_the_interval_is_wilsons(precision):
    """The example of Newcombe 1998, Table I: 81 of 263 and 0 of 20."""
    assert precision.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert precision.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert precision.wilson(0, 0) == (0.0, 1.0)


def test_recall_is_counted_from_what_was_judged(precision):
    kept = KEPT["recall"]["methods"]
    missed = sum(one["verdict"] == "missed" for one in kept["judged"])
    assert (missed, len(kept["judged"])) == (15, 110)
    assert sum(one.get("found_since", False) for one in kept["judged"]) == 5
