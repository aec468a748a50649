"""The page of compressed models: what its file says, at the sizes that it names."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "bench"))
    sys.modules.pop("compressed", None)
    import compressed

    return compressed


@pytest.fixture(scope="module")
def found():
    return json.loads((ROOT / "docs/studies/compression.json").read_text(encoding="utf-8"))


def test_the_page_shows_what_the_file_says(script, found):
    assert set(found) >= {"base", *script.PARTS} - {"time"}
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text, found) == text


def test_what_is_compared_is_of_one_size(script, found):
    rows = found["untuned"]["rows"]
    for share in script.SHARES:
        sizes = {rows[f"{name}-{share}"]["parameters"] for name in (script.SVD, script.FWSVD)}
        assert len(sizes) == 1
    linear = 6 * (4 * 384 * 384 + 2 * 384 * 1536) + 384 * 384
    rest = found["base"]["parameters"] - linear  # biases of pruned units apart
    for row in found["hybrid"].values():
        assert linear / (row["parameters"] - rest) == pytest.approx(2.5, rel=0.01)
    assert found["products"]["alone"]["parameters"] == found["products"]["taught"]["parameters"]


def test_in_every_pair_of_matrices_the_weighted_error_is_lower_and_the_plain_one_higher(script, found):
    rows = found["untuned"]["rows"]
    for share in script.SHARES:
        plain, weighted = (rows[f"{name}-{share}"]["modules"] for name in (script.SVD, script.FWSVD))
        assert len(plain) == 37
        for path, errors in plain.items():
            assert weighted[path]["weighted"] < errors["weighted"]
            assert weighted[path]["plain"] > errors["plain"]
